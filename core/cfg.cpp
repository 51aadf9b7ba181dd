#include "core/cfg.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <sstream>

#include "core/file.h"
#include "core/log.h"

namespace osprey {
namespace {

std::string without_blanks(std::string s) {
  std::erase_if(s, [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v'; });
  return s;
}

int edit_distance(const std::string& a, const std::string& b) {
  std::vector<int> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = int(j);
  for (size_t i = 1; i <= a.size(); ++i) {
    int diagonal = row[0];
    row[0] = int(i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const int replace = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replace});
    }
  }
  return row.back();
}

std::optional<double> number(const std::string& text) {
  const char* first = text.data() + (text.starts_with('+') ? 1 : 0);
  double value = 0;
  const auto [end, error] = std::from_chars(first, text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  // What is more becomes a float that is infinite.
  if (!(std::fabs(value) <= std::numeric_limits<float>::max())) return std::nullopt;
  return value;
}

std::optional<int64_t> whole(const std::string& text) {  // 3 and 3.0, but not 3.5
  const auto value = number(text);
  if (!value || *value != std::floor(*value) || std::fabs(*value) > 9e15) return std::nullopt;
  return int64_t(*value);
}

std::vector<std::string> split(const std::string& list) {
  std::vector<std::string> items;
  for (size_t start = 0; start <= list.size();) {
    const size_t comma = std::min(list.find(',', start), list.size());
    items.push_back(list.substr(start, comma - start));
    start = comma + 1;
  }
  if (items.size() > 1 && items.back().empty()) items.pop_back();  // a trailing comma is harmless
  return items;
}

std::string shown(double v) { return fmt::format("{:g}", v); }

}  // namespace

const Entry* Section::find(const std::string& key) const {
  for (const Entry& e : entries)
    if (e.key == key) return &e;
  return nullptr;
}

int Section::line_of(const std::string& key) const {
  const Entry* e = find(key);
  return e ? e->line : line;
}

void Section::fail(int at_line, const std::string& why) const {
  throw Error(fmt::format("{}:{}: [{}] {}", file, at_line, name, why));
}

std::vector<Section> parse_cfg(const std::string& text, const std::string& file) {
  if (text.find('\0') != std::string::npos) fail("{}: this is not text: not a .cfg file", file);
  std::vector<Section> sections;
  std::istringstream in(text.starts_with("\xEF\xBB\xBF") ? text.substr(3) : text);
  std::string raw;
  for (int line = 1; std::getline(in, raw); ++line) {
    std::string s = without_blanks(raw.substr(0, raw.find('#')));
    if (s.empty() || s.front() == ';') continue;
    if (std::any_of(s.begin(), s.end(), [](char c) { return c >= 0 && c < 32; }))
      fail("{}:{}: this is not text: not a .cfg file", file, line);
    if (s.front() == '[') {
      if (s.back() != ']' || s.size() < 3) fail("{}:{}: expected `[section]`, not `{}`", file, line, s);
      sections.push_back({file, s.substr(1, s.size() - 2), line, {}});
      continue;
    }
    const auto equals = s.find('=');
    if (equals == std::string::npos || equals == 0)
      fail("{}:{}: expected `[section]` or `key=value`, not `{}`", file, line, s.substr(0, 60));
    if (sections.empty()) fail("{}:{}: `{}` stands before the first [section]", file, line, s.substr(0, 60));
    Section& section = sections.back();
    Entry entry{s.substr(0, equals), s.substr(equals + 1), line};
    if (entry.value.empty()) {
      warn("{}:{}: [{}] `{}=` has no value; the default is used", file, line, section.name, entry.key);
      continue;
    }
    if (const Entry* first = section.find(entry.key)) {
      if (first->value != entry.value)
        warn("{}:{}: [{}] `{}` was already given in line {}: the first one counts, as in Darknet", file, line,
             section.name, entry.key, first->line);
      continue;
    }
    section.entries.push_back(std::move(entry));
  }
  if (sections.empty()) fail("{}: no [section] in it: not a .cfg file", file);
  return sections;
}

std::vector<Section> read_cfg(const std::string& path) {
  return parse_cfg(read_file(path, "a .cfg file"), path);
}

std::string did_you_mean(const std::string& typed, const std::vector<std::string>& known) {
  const std::string* best = nullptr;
  int nearest = std::max(2, int(typed.size()) / 3) + 1;
  for (const std::string& word : known)
    if (const int d = edit_distance(typed, word); d < nearest) nearest = d, best = &word;
  return best ? fmt::format(", did you mean `{}`?", *best) : "";
}

Entry* Keys::begin(const char* key, const char* type, const std::string& otherwise) {
  documentation_.push_back({key, type, otherwise, "", ""});
  entry_ = nullptr;
  numbers_.clear();
  if (section_)
    for (Entry& e : section_->entries)
      if (e.key == key) {
        e.used = true;
        entry_ = &e;
      }
  return entry_;
}

void Keys::bad_value(const std::string& expected) const {
  const std::string& key = documentation_.back().key;
  if (!entry_) section_->fail(section_->line, fmt::format("{} {}", key, expected));
  section_->fail(entry_->line,
                 fmt::format("{} {}, not {}", key, expected,
                             number(entry_->value) ? entry_->value : "`" + entry_->value + "`"));
}

void Keys::check(bool good, const std::string& expected) {
  if (section_ && !good) bad_value(expected);
}

Keys& Keys::integer(const char* key, int64_t& value, int64_t otherwise) {
  value = otherwise;
  if (Entry* e = begin(key, "whole number", std::to_string(otherwise))) {
    const auto read = whole(e->value);
    if (!read) bad_value("must be a whole number");
    value = *read;
  }
  numbers_ = {double(value)};
  return *this;
}

Keys& Keys::integer(const char* key, int& value, int otherwise) {
  int64_t wide = otherwise;
  integer(key, wide, otherwise);
  check(std::abs(wide) < (int64_t(1) << 31), "must be less than 2147483648");
  value = int(wide);
  return *this;
}

Keys& Keys::real(const char* key, float& value, float otherwise) {
  value = otherwise;
  if (Entry* e = begin(key, "number", shown(otherwise))) {
    const auto read = number(e->value);
    if (!read) bad_value("must be a number");
    value = float(*read);
  }
  numbers_ = {double(value)};
  return *this;
}

Keys& Keys::flag(const char* key, bool& value, bool otherwise) {
  value = otherwise;
  if (Entry* e = begin(key, "0 or 1", otherwise ? "1" : "0")) {
    const auto read = whole(e->value);
    if (!read) bad_value("must be 0 or 1");
    value = *read != 0;
  }
  return *this;
}

Keys& Keys::text(const char* key, std::string& value, const char* otherwise) {
  value = otherwise;
  if (Entry* e = begin(key, "text", otherwise)) value = e->value;
  return *this;
}

Keys& Keys::texts(const char* key, std::vector<std::string>& values) {
  values.clear();
  if (Entry* e = begin(key, "list", "")) {
    values = split(e->value);
    for (const std::string& item : values)
      if (item.empty()) bad_value("must be a list separated by commas");
  }
  return *this;
}

Keys& Keys::integers(const char* key, std::vector<int>& values) {
  values.clear();
  if (Entry* e = begin(key, "list of whole numbers", ""))
    for (const std::string& item : split(e->value)) {
      const auto read = whole(item);
      if (!read || std::abs(*read) >= (int64_t(1) << 31))
        bad_value("must be whole numbers separated by commas");
      values.push_back(int(*read));
      numbers_.push_back(double(*read));
    }
  return *this;
}

Keys& Keys::reals(const char* key, std::vector<float>& values) {
  values.clear();
  if (Entry* e = begin(key, "list of numbers", ""))
    for (const std::string& item : split(e->value)) {
      const auto read = number(item);
      if (!read) bad_value("must be numbers separated by commas");
      values.push_back(float(*read));
      numbers_.push_back(*read);
    }
  return *this;
}

void Keys::pick(const char* key, int& index, const std::vector<std::string>& names) {
  Entry* e = begin(key, "word", names[index]);
  std::string all = names[0];
  for (size_t i = 1; i < names.size(); ++i) all += ", " + names[i];
  documentation_.back().bounds = all;
  if (!e) return;
  const auto found = std::find(names.begin(), names.end(), e->value);
  if (found == names.end())
    section_->fail(e->line, fmt::format("{} must be one of {}, not `{}`{}", key, all, e->value,
                                        did_you_mean(e->value, names)));
  index = int(found - names.begin());
}

Keys& Keys::at_least(double least) {
  documentation_.back().bounds = ">= " + shown(least);
  for (double v : numbers_) check(v >= least, "must be at least " + shown(least));
  return *this;
}

Keys& Keys::more_than(double bound) {
  documentation_.back().bounds = "> " + shown(bound);
  for (double v : numbers_) check(v > bound, "must be more than " + shown(bound));
  return *this;
}

Keys& Keys::between(double least, double most) {
  documentation_.back().bounds = shown(least) + " .. " + shown(most);
  for (double v : numbers_)
    check(v >= least && v <= most, fmt::format("must be between {} and {}", shown(least), shown(most)));
  return *this;
}

Keys& Keys::required() {
  documentation_.back().otherwise = "required";
  check(entry_ != nullptr, "must be given");
  return *this;
}

Keys& Keys::shown_as(const char* text) {
  documentation_.back().otherwise = text;
  return *this;
}

Keys& Keys::help(const char* text) {
  documentation_.back().help = text;
  return *this;
}

Keys& Keys::ignored(const char* key, const char* why) {
  const Entry* e = begin(key, "any", "");
  if (e && e->value != "0")  // asked for nothing, nothing is missing
    warn("{}:{}: [{}] `{}` is ignored: {}", section_->file, e->line, section_->name, key, why);
  documentation_.back().help = std::string("accepted and ignored: ") + why;
  return *this;
}

bool Keys::given(const char* key) const { return section_ && section_->find(key); }

void Keys::finish() {
  if (!section_) return;
  std::vector<std::string> known;
  for (const KeyDocumentation& d : documentation_) known.push_back(d.key);
  for (const Entry& e : section_->entries) {
    if (e.used) continue;
    const std::string message = fmt::format("unknown key `{}`{}", e.key, did_you_mean(e.key, known));
    if (!lenient_) section_->fail(e.line, message);
    warn("{}:{}: [{}] {}", section_->file, e.line, section_->name, message);
  }
}

}  // namespace osprey
