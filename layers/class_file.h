#pragma once

#include <string>

#include "layers/layer.h"

namespace osprey {

// The file that `tree` or `map` of a section names (see core/class_tree.h). Error: there is none.
std::string class_file(const Plan&, const char* key, const std::string& path);

}  // namespace osprey
