#include "core/available_memory.h"

#include <fstream>
#include <string>

namespace osprey {

size_t available_memory() {
  std::ifstream meminfo("/proc/meminfo");
  std::string key, unit;
  for (size_t kibibytes = 0; meminfo >> key >> kibibytes; std::getline(meminfo, unit))
    if (key == "MemAvailable:") return kibibytes * 1024;
  return 0;
}

}  // namespace osprey
