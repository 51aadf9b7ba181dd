// What a user can cause is an Error: one line that says what, where and what was expected. The osprey
// command prints it and exits with 1. What only a bug can cause is an assert.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace osprey {

struct Error : std::runtime_error {
  explicit Error(std::string text) : std::runtime_error(one_line(std::move(text))) {}

 private:
  // Words from a foreign file may hold line ends, and commands to a terminal.
  static std::string one_line(std::string text) {
    for (char& c : text)
      if (static_cast<unsigned char>(c) < 32 || c == 127) c = '?';
    return text;
  }
};

// fail("{}: no such image", path) throws an Error with the formatted line.
template <class... Arguments>
[[noreturn]] void fail(fmt::format_string<Arguments...> text, Arguments&&... arguments) {
  throw Error(fmt::format(text, std::forward<Arguments>(arguments)...));
}

}  // namespace osprey
