// The only way to start a kernel. Compiled by nvcc it runs on the GPU; compiled by a host compiler it runs on
// the emulation, so that every .cu file can be tested, debugged and sanitized without a GPU. A program that
// is to have no kernels is compiled with OSPREY_NO_KERNELS: it names none, so the compiler leaves them all
// out.
#pragma once

#include "core/stream.h"

#ifdef __CUDACC__
#include <cuda_runtime.h>
#else
#include "cuda/emulation.h"
#endif

#include <string_view>
#include <type_traits>

namespace osprey::cuda {

struct Grid {
  dim3 blocks, threads;
  size_t shared_bytes = 0;
};

// A thread for each of n values, in blocks of `threads`.
inline Grid one_thread_each(int n, int threads = 256) {
  return {dim3(unsigned((n + threads - 1) / threads)), dim3(unsigned(threads))};
}

__device__ inline int global_thread() { return int(blockIdx.x * blockDim.x + threadIdx.x); }

// The kernel's name as written in the source, without namespaces; the compiler spells it in the signature of
// a template: "... [with auto Kernel = osprey::cuda::{anonymous}::f_kernel<true>; ...]".
template <auto Kernel>
constexpr std::string_view kernel_name() {
  constexpr std::string_view spelled = __PRETTY_FUNCTION__;
  constexpr size_t start = spelled.find("Kernel = ") + 9;
  constexpr std::string_view name = spelled.substr(start, spelled.find_first_of(";]", start) - start);
  constexpr size_t colons = name.substr(0, name.find('<')).rfind("::");
  return colons == std::string_view::npos ? name : name.substr(colons + 2);
}

#ifdef __CUDACC__

// Throws an Error that names the kernel if it did not start; with OSPREY_SYNC=1 in the environment also
// waits, so that a fault inside the kernel is reported here and not by some later call. Defined in
// cuda/runtime.cu.
void check_launch(std::string_view kernel, const Stream&);

// Asks for shared memory beyond the 48 KiB that a kernel may use unasked. Defined in cuda/runtime.cu.
void allow_shared_memory(std::string_view kernel, const void* function, size_t bytes);

template <auto Kernel, class... Arguments>
void launch(Stream& stream, Grid grid, Arguments... arguments) {
  static_assert((std::is_trivially_copyable_v<Arguments> && ...), "a kernel gets copies of the bytes");
  if (grid.blocks.x == 0) return;
  allow_shared_memory(kernel_name<Kernel>(), reinterpret_cast<const void*>(Kernel), grid.shared_bytes);
  Kernel<<<grid.blocks, grid.threads, grid.shared_bytes, static_cast<cudaStream_t>(stream.handle)>>>(
      arguments...);
  check_launch(kernel_name<Kernel>(), stream);
}

// The shared memory whose size the launch names in Grid::shared_bytes.
template <class T>
__device__ T* dynamic_shared() {
  extern __shared__ __align__(16) unsigned char bytes[];
  return reinterpret_cast<T*>(bytes);
}

#elif defined(OSPREY_NO_KERNELS)

// An Error: there is no way to get here, since no stream of a device can be made. Defined in
// cuda/runtime_absent.cpp.
[[noreturn]] void refuse_launch();

template <auto Kernel, class... Arguments>
void launch(Stream&, Grid, Arguments...) {
  refuse_launch();
}

template <class T>
T* dynamic_shared() {
  return nullptr;
}

#else

template <auto Kernel, class... Arguments>
void launch(Stream& stream, Grid grid, Arguments... arguments) {
  static_assert((std::is_trivially_copyable_v<Arguments> && ...), "a kernel gets copies of the bytes");
  if (grid.blocks.x == 0) return;
  emulation::start(stream.handle, kernel_name<Kernel>(), grid.blocks, grid.threads, grid.shared_bytes,
                   [=] { Kernel(arguments...); });
}

template <class T>
T* dynamic_shared() {
  return static_cast<T*>(emulation::dynamic_shared_bytes());
}

#endif

}  // namespace osprey::cuda
