// The text of a .cfg file, section by section, and the one place where a key is named, typed, bounded,
// defaulted and explained.
//
// The lexer is Darknet's, made safe: blanks are dropped everywhere, a line that starts with # or ; is a
// comment, and so is the rest of a line after #; CRLF and a byte order mark are accepted; of two equal keys
// in a section the first one wins (with a warning).
#pragma once

#include <string>
#include <vector>

#include "core/error.h"

namespace osprey {

struct Entry {
  std::string key, value;
  int line = 0;
  bool used = false;
};

struct Section {
  std::string file, name;
  int line = 0;
  std::vector<Entry> entries;

  const Entry* find(const std::string& key) const;
  int line_of(const std::string& key) const;  // the section's own line if the key is not given

  // Throws "file:line: [name] why".
  [[noreturn]] void fail(int at_line, const std::string& why) const;
};

std::vector<Section> parse_cfg(const std::string& text, const std::string& file);
std::vector<Section> read_cfg(const std::string& path);

// The known word nearest to what was typed, as ", did you mean `word`?", or nothing if none is near.
std::string did_you_mean(const std::string& typed, const std::vector<std::string>& known);

// What `osprey keys` and docs/cfg.md tell of a key.
struct KeyDocumentation {
  std::string key, type, otherwise, bounds, help;
};

// A layer describes its keys once, to a Keys object. Given a section, Keys reads and checks them; given none,
// it only collects the documentation. Later defaults may use earlier values. The checks that follow a key
// (at_least, between, ...) belong to that key; help() ends it.
class Keys {
 public:
  // `lenient` turns unknown keys from errors into warnings.
  explicit Keys(Section* section, bool lenient = false) : section_(section), lenient_(lenient) {}

  Keys& integer(const char* key, int& value, int otherwise);
  Keys& integer(const char* key, int64_t& value, int64_t otherwise);
  Keys& real(const char* key, float& value, float otherwise);
  Keys& flag(const char* key, bool& value, bool otherwise);  // 0 or another whole number, as Darknet reads it
  Keys& text(const char* key, std::string& value, const char* otherwise);
  Keys& integers(const char* key, std::vector<int>& values);
  Keys& reals(const char* key, std::vector<float>& values);
  Keys& texts(const char* key, std::vector<std::string>& values);  // separated by commas

  // One of a list of words; an enum's value is the index of its name. An unknown word is an error.
  template <class Enum, size_t N>
  Keys& choice(const char* key, Enum& value, Enum otherwise, const char* const (&names)[N]) {
    int index = int(otherwise);
    pick(key, index, std::vector<std::string>(names, names + N));
    value = Enum(index);
    return *this;
  }

  Keys& at_least(double least);
  Keys& more_than(double bound);
  Keys& between(double least, double most);
  Keys& required();
  Keys& shown_as(const char* default_text);  // for a default that is computed from other keys
  Keys& help(const char* text);

  // A key that Darknet ships in its files and that has no effect here: accepted, with one warning that says
  // why.
  Keys& ignored(const char* key, const char* why);

  bool given(const char* key) const;
  // Every key of the section must have been asked for.
  void finish();

  const std::vector<KeyDocumentation>& documentation() const { return documentation_; }

 private:
  Entry* begin(const char* key, const char* type, const std::string& otherwise);
  void pick(const char* key, int& index, const std::vector<std::string>& names);
  [[noreturn]] void bad_value(const std::string& expected) const;
  void check(bool good, const std::string& expected);

  Section* section_;
  bool lenient_;
  Entry* entry_ = nullptr;       // of the key being described, if the section has it
  std::vector<double> numbers_;  // its value or values, for the bounds
  std::vector<KeyDocumentation> documentation_;
};

}  // namespace osprey
