#include "cuda/runtime.h"

#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "core/error.h"
#include "cuda/launch.h"

namespace osprey::cuda {
namespace {

cudaStream_t handle(const Stream& stream) { return static_cast<cudaStream_t>(stream.handle); }

void check(cudaError_t status, std::string_view what) {
  if (status != cudaSuccess) fail("{}: CUDA says {}", what, cudaGetErrorString(status));
}

}  // namespace

void check_launch(std::string_view kernel, const Stream& stream) {
  static const char* sync = std::getenv("OSPREY_SYNC");
  check(cudaGetLastError(), kernel);
  if (sync && std::string_view(sync) == "1") check(cudaStreamSynchronize(handle(stream)), kernel);
}

int device_count() {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status == cudaErrorNoDevice || status == cudaErrorInsufficientDriver) return 0;
  check(status, "counting the GPUs");
  return count;
}

void* allocate(size_t bytes) {
  void* memory = nullptr;
  const cudaError_t status = cudaMalloc(&memory, bytes);
  if (status == cudaSuccess) return memory;
  size_t free = 0, total = 0;
  cudaMemGetInfo(&free, &total);
  fail("cannot allocate {} MiB of GPU memory, {} of {} MiB are free: CUDA says {}", bytes >> 20, free >> 20,
       total >> 20, cudaGetErrorString(status));
}

// Runs in destructors, hence prints instead of throwing.
void release(void* memory) {
  const cudaError_t status = cudaFree(memory);
  if (status != cudaSuccess)
    std::fprintf(stderr, "freeing GPU memory: CUDA says %s\n", cudaGetErrorString(status));
}

void copy(Stream& stream, void* to, const void* from, size_t bytes) {
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, handle(stream)), "copying to or from the GPU");
}

void fill_zero(Stream& stream, void* to, size_t bytes) {
  check(cudaMemsetAsync(to, 0, bytes, handle(stream)), "clearing GPU memory");
}

void synchronize(const Stream& stream) {
  check(cudaStreamSynchronize(handle(stream)), "waiting for the GPU");
}

}  // namespace osprey::cuda
