#include "layers/class_file.h"

#include <fmt/core.h>

#include "core/class_tree.h"

namespace osprey {

std::string class_file(const Plan& p, const char* key, const std::string& path) {
  const std::string file = find_class_file(path, p.cfg_file());
  p.require(
      !file.empty(), key,
      fmt::format("{}={}: there is no such file in the current folder, nor beside the .cfg file", key, path));
  return file;
}

}  // namespace osprey
