// Every status that CUDA returns goes through check(). For .cu files of the GPU build only.
#pragma once

#include <cuda_runtime.h>

#include <cstdio>
#include <string_view>

#include "core/error.h"
#include "core/stream.h"

namespace osprey::cuda {

inline cudaStream_t handle(const Stream& stream) { return static_cast<cudaStream_t>(stream.handle); }

inline void check(cudaError_t status, std::string_view what) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // or the next launch would be blamed for it
  fail("{}: CUDA says {}", what, cudaGetErrorString(status));
}

// In destructors, which may not throw.
inline void check_or_print(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  cudaGetLastError();
  std::fprintf(stderr, "%s: CUDA says %s\n", what, cudaGetErrorString(status));
}

// The kernel that this host thread started last; empty if none was.
std::string_view last_kernel();

}  // namespace osprey::cuda
