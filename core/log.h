// What a user is told besides results. Everything goes to stderr, so that stdout stays fit for pipes.
#pragma once

#include <fmt/format.h>

#include <string>

namespace osprey {

void log_info(const std::string& text);
void log_warning(const std::string& text);  // the same text is told once only

// Of several processes that do the same one tells all of it. The others tell nothing, or warnings after this
// word.
void log_nothing();
void log_warnings_as(const std::string& process);

template <class... Arguments>
void info(fmt::format_string<Arguments...> text, Arguments&&... arguments) {
  log_info(fmt::format(text, std::forward<Arguments>(arguments)...));
}
template <class... Arguments>
void warn(fmt::format_string<Arguments...> text, Arguments&&... arguments) {
  log_warning(fmt::format(text, std::forward<Arguments>(arguments)...));
}

}  // namespace osprey
