#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "core/error.h"
#include "cuda/guard.h"
#include "cuda/recording.h"
#include "cuda/runtime.h"

namespace osprey::cuda {
namespace {

constexpr size_t kAlignment = 256;  // as cudaMalloc's

void* aligned(size_t bytes) {
  void* memory = nullptr;
  return posix_memalign(&memory, kAlignment, bytes) == 0 ? memory : nullptr;
}

}  // namespace

bool has_gpu_kernels() { return false; }
bool emulated() { return true; }
int device_count() { return 0; }
void use_device(int) {}
std::string device_name() { return "emulation"; }
size_t free_memory() { return size_t(sysconf(_SC_AVPHYS_PAGES)) * size_t(sysconf(_SC_PAGESIZE)); }

// The address of a byte tells streams apart.
Stream make_stream() { return {Device::cuda, new char}; }

void release_stream(Stream& stream) {
  delete static_cast<char*>(stream.handle);
  stream.handle = nullptr;
}

void* allocate(size_t bytes) {
  emulation::refuse_while_recording("an allocation");
  void* memory = emulation::guards_memory() ? emulation::guarded_allocate(bytes) : aligned(bytes);
  if (!memory)
    fail("cannot allocate {} MiB of emulated device memory, {} MiB are free", bytes >> 20,
         free_memory() >> 20);
  return memory;
}

void release(void* memory) {
  if (!memory) return;
  emulation::spoil_recording("the release of device memory");
  if (!emulation::guarded_release(memory)) std::free(memory);
}

void* allocate_pinned(size_t bytes) {
  emulation::refuse_while_recording("an allocation of pinned memory");
  void* memory = aligned(bytes);
  if (!memory) fail("cannot allocate {} MiB of pinned memory", bytes >> 20);
  return memory;
}

void release_pinned(void* memory) {
  if (!memory) return;
  emulation::spoil_recording("the release of pinned memory");
  std::free(memory);
}

void copy(Stream& stream, void* to, const void* from, size_t bytes) {
  emulation::enqueue(stream.handle, [=] { std::memmove(to, from, bytes); });
}

void fill_zero(Stream& stream, void* to, size_t bytes) {
  emulation::enqueue(stream.handle, [=] { std::memset(to, 0, bytes); });
}

void synchronize(const Stream&) { emulation::refuse_while_recording("waiting for a stream"); }

// Here everything has ended when it returns.
Event::~Event() = default;
void Event::record(Stream&) {}
void Event::wait() const { emulation::refuse_while_recording("waiting for an event"); }

}  // namespace osprey::cuda
