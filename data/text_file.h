// Small text files: lists, labels, names.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace osprey {

// Its lines without line ends (LF or CRLF), trailing blanks and a byte order mark. A last line without a line
// end counts; an empty one behind the last line end does not.
std::vector<std::string> read_lines(const std::string& path, const std::string& what);

std::string_view trimmed(std::string_view text);
std::vector<std::string_view> words(std::string_view line);  // split at blanks

// A path that was written under Windows: every \ as /.
std::string with_slashes(std::string path);

// Whole-word numbers; false where `word` is anything else, or not finite.
bool parse_number(std::string_view word, int& value);
bool parse_number(std::string_view word, float& value);

}  // namespace osprey
