#include <cstdlib>
#include <cstring>

#include "core/error.h"
#include "cuda/runtime.h"

namespace osprey::cuda {

int device_count() { return 0; }

void* allocate(size_t bytes) {
  void* memory = nullptr;
  constexpr size_t kAlignment = 256;  // as cudaMalloc's
  if (posix_memalign(&memory, kAlignment, bytes) != 0) fail("cannot allocate {} MiB of memory", bytes >> 20);
  return memory;
}

void release(void* memory) { std::free(memory); }

void copy(Stream&, void* to, const void* from, size_t bytes) { std::memmove(to, from, bytes); }

void fill_zero(Stream&, void* to, size_t bytes) { std::memset(to, 0, bytes); }

void synchronize(const Stream&) {}

}  // namespace osprey::cuda
