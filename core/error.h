// What a user can cause is an Error: one line that says what, where and what was expected. The osprey
// command prints it and exits with 1. What only a bug can cause is an assert.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>

namespace osprey {

struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// fail("{}: no such image", path) throws an Error with the formatted line.
template <class... Arguments>
[[noreturn]] void fail(fmt::format_string<Arguments...> text, Arguments&&... arguments) {
  throw Error(fmt::format(text, std::forward<Arguments>(arguments)...));
}

}  // namespace osprey
