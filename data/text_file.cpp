#include "data/text_file.h"

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "core/error.h"

namespace osprey {
namespace {

constexpr std::string_view kBlanks = " \t\r\n\v\f";

template <class Number>
bool parse_whole(std::string_view word, Number& value) {
  if (word.starts_with('+')) word.remove_prefix(1);
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  return error == std::errc() && end == word.data() + word.size();
}

}  // namespace

std::string read_file(const std::string& path, const std::string& what) {
  if (std::filesystem::is_directory(path)) fail("{}: cannot read {}: it is a folder", path, what);
  FILE* file = std::fopen(path.c_str(), "rb");
  if (!file) fail("{}: cannot read {}: {}", path, what, std::strerror(errno));
  std::string content;
  char block[1 << 16];
  while (const size_t got = std::fread(block, 1, sizeof block, file)) content.append(block, got);
  const bool broken = std::ferror(file);
  std::fclose(file);
  if (broken) fail("{}: cannot read {}: the disk reports an error", path, what);
  return content;
}

std::vector<std::string> read_lines(const std::string& path, const std::string& what) {
  const std::string content = read_file(path, what);
  std::string_view rest = content;
  if (rest.starts_with("\xEF\xBB\xBF")) rest.remove_prefix(3);
  std::vector<std::string> lines;
  while (!rest.empty()) {
    const size_t end = rest.find('\n');
    std::string_view line = rest.substr(0, end);
    line = line.substr(0, line.find_last_not_of(kBlanks) + 1);
    lines.emplace_back(line);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  }
  return lines;
}

std::string_view trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

std::vector<std::string_view> words(std::string_view line) {
  std::vector<std::string_view> found;
  for (size_t at = line.find_first_not_of(kBlanks); at != std::string_view::npos;) {
    const size_t end = std::min(line.find_first_of(kBlanks, at), line.size());
    found.push_back(line.substr(at, end - at));
    at = line.find_first_not_of(kBlanks, end);
  }
  return found;
}

bool parse_number(std::string_view word, int& value) { return parse_whole(word, value); }
bool parse_number(std::string_view word, float& value) {
  return parse_whole(word, value) && std::isfinite(value);
}

void write_file(const std::string& path, std::string_view content) {
  static std::atomic<unsigned> count{0};
  const std::string temporary = fmt::format("{}.{}.{}.part", path, getpid(), count++);
  FILE* file = std::fopen(temporary.c_str(), "wb");
  if (!file) fail("{}: cannot write: {}", path, std::strerror(errno));
  const bool written = std::fwrite(content.data(), 1, content.size(), file) == content.size();
  const bool closed = std::fclose(file) == 0;
  if (!written || !closed || std::rename(temporary.c_str(), path.c_str()) != 0) {
    const std::string reason = std::strerror(errno);
    std::remove(temporary.c_str());
    fail("{}: cannot write: {}", path, reason);
  }
}

}  // namespace osprey
