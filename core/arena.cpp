#include "core/arena.h"

#include <cstdint>
#include <cstdlib>
#include <fstream>

#include "core/error.h"
#include "core/lifetimes.h"

namespace osprey {

namespace {

// What the kernel can give without swapping, or -1 where it does not tell. It would promise more than that,
// and end the program only when the memory is written to.
int64_t available_bytes() {
  std::ifstream meminfo("/proc/meminfo");
  std::string key, unit;
  for (int64_t kibibytes = 0; meminfo >> key >> kibibytes; std::getline(meminfo, unit))
    if (key == "MemAvailable:") return kibibytes * 1024;
  return -1;
}

}  // namespace

Memory host_memory() {
  return {[](size_t bytes) -> void* {
            const int64_t available = available_bytes();
            if (available >= 0 && bytes > size_t(available)) return nullptr;
            return std::aligned_alloc(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment);
          },
          [](void* p) { std::free(p); }};
}

Arena::Arena(std::string name, Memory memory) : name_(std::move(name)), memory_(std::move(memory)) {}

Arena::~Arena() {
  if (data_) memory_.release(data_);
}

void Arena::reserve(size_t bytes) {
  if (bytes <= bytes_) return;
  if (data_) memory_.release(data_);
  bytes_ = 0;
  data_ = static_cast<char*>(memory_.allocate(bytes));
  if (!data_)
    fail(
        "{} needs {:.0f} MiB, more memory than there is: use a smaller batch (or more subdivisions) or input "
        "size",
        name_, double(bytes) / (1 << 20));
  bytes_ = bytes;
}

}  // namespace osprey
