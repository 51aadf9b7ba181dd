#pragma once

#include <string>

namespace osprey {

// JSON as text, for people with `indent` 0 or more. Names that are no UTF-8 are no JSON: what is wrong in
// them is replaced.
template <typename Json>
std::string json_text(const Json& json, int indent = -1) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

}  // namespace osprey
