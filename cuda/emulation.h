// CUDA's vocabulary for a host compiler: a block runs on one host thread, and each of its threads is a fiber
// that gives way at a barrier. Slow, deterministic, and visible to debuggers and sanitizers
// (docs/emulation.md).
//
// Emulated: grids, blocks, __shared__, __syncthreads, __syncwarp, warp shuffles and votes, atomics, vectors
// of two and four. Not emulated, by intent: tensor cores, inline PTX, cp.async/TMA, cooperative groups,
// timing.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string_view>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __shared__ static thread_local  // a host thread runs one block at a time

struct uint3 {
  unsigned x, y, z;
};
struct alignas(8) int2 {
  int x, y;
};
struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) int4 {
  int x, y, z, w;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
inline int2 make_int2(int x, int y) { return {x, y}; }
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline float2 make_float2(float x, float y) { return {x, y}; }
inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

extern constinit thread_local uint3 threadIdx, blockIdx;
extern constinit thread_local dim3 blockDim, gridDim;
constexpr int warpSize = 32;

using std::max;
using std::min;

namespace osprey::emulation {

// CUDA promises no order of threads between barriers, nor of blocks. A kernel that is right in all three
// orders is not proved right, but one that is right in only some has a race.
enum class Order { forward, reverse, shuffled };
void set_order(Order, unsigned seed = 1);  // for every later launch

// Runs `thread` once for each thread of the grid, or notes it down while the stream is captured. What a
// kernel throws, and a barrier that some threads never reach, becomes a std::logic_error that names kernel,
// block and thread. `kernel` must live as long as the program.
void start(void* stream, std::string_view kernel, dim3 grid, dim3 block, size_t shared_bytes,
           std::function<void()> thread);

void* dynamic_shared_bytes();  // filled with NaN before each block
unsigned lane_of_thread();

// Waits for every thread of the block; returns for how many of them the predicate holds.
unsigned block_barrier(bool predicate);

void warp_barrier(unsigned lanes);

// What a lane gives to others: the bytes of some value.
struct Offer {
  uint64_t low, high;
};
// Waits for `lanes`, each of which offers something; returns what lane `source` offered.
Offer trade(unsigned lanes, Offer, unsigned source);

// One bit for each lane of `lanes` whose predicate holds.
unsigned ballot(unsigned lanes, bool predicate);

template <class T>
T exchange(unsigned lanes, T value, unsigned source) {
  static_assert(sizeof(T) <= sizeof(Offer));
  Offer offer{};
  std::memcpy(&offer, &value, sizeof(T));
  offer = trade(lanes, offer, source);
  std::memcpy(&value, &offer, sizeof(T));
  return value;
}

// CUDA's read-modify-write: returns the value from before. Relaxed, as on the GPU: it orders nothing else.
template <class T, class Change>
T atomic_change(T* address, Change change) {
  std::atomic_ref<T> target(*address);
  T before = target.load(std::memory_order_relaxed);
  while (!target.compare_exchange_weak(before, change(before), std::memory_order_relaxed)) {
  }
  return before;
}

}  // namespace osprey::emulation

inline void __syncthreads() { osprey::emulation::block_barrier(false); }
inline int __syncthreads_count(int predicate) { return int(osprey::emulation::block_barrier(predicate)); }
inline int __syncthreads_or(int predicate) { return __syncthreads_count(predicate) != 0; }
inline int __syncthreads_and(int predicate) { return __syncthreads_count(!predicate) == 0; }
inline void __syncwarp(unsigned lanes = ~0u) { osprey::emulation::warp_barrier(lanes); }

// Shuffles: a lane gets the value of another of its segment of `width` lanes; its own where there is no such.
template <class T>
T __shfl_sync(unsigned lanes, T v, int source, int width = warpSize) {
  const int start = int(osprey::emulation::lane_of_thread()) & ~(width - 1);
  return osprey::emulation::exchange(lanes, v, unsigned(start | (source & (width - 1))));
}
template <class T>
T __shfl_xor_sync(unsigned lanes, T v, int mask, int width = warpSize) {
  const int lane = int(osprey::emulation::lane_of_thread()), source = lane ^ mask;
  return osprey::emulation::exchange(lanes, v, unsigned(source <= (lane | (width - 1)) ? source : lane));
}
template <class T>
T __shfl_down_sync(unsigned lanes, T v, unsigned by, int width = warpSize) {
  const int lane = int(osprey::emulation::lane_of_thread()), source = lane + int(by);
  return osprey::emulation::exchange(lanes, v, unsigned(source <= (lane | (width - 1)) ? source : lane));
}
template <class T>
T __shfl_up_sync(unsigned lanes, T v, unsigned by, int width = warpSize) {
  const int lane = int(osprey::emulation::lane_of_thread()), source = lane - int(by);
  return osprey::emulation::exchange(lanes, v, unsigned(source >= (lane & ~(width - 1)) ? source : lane));
}

inline unsigned __ballot_sync(unsigned lanes, int predicate) {
  return osprey::emulation::ballot(lanes, predicate);
}
inline int __any_sync(unsigned lanes, int predicate) {
  return osprey::emulation::ballot(lanes, predicate) != 0;
}
inline int __all_sync(unsigned lanes, int predicate) {
  return osprey::emulation::ballot(lanes, !predicate) == 0;
}

// Lanes that run together are for a GPU to choose; the only one to count on is the one that asks.
inline unsigned __activemask() { return 1u << osprey::emulation::lane_of_thread(); }

template <class T>
T atomicAdd(T* address, T value) {
  return osprey::emulation::atomic_change(address, [=](T before) { return before + value; });
}
template <class T>
T atomicMax(T* address, T value) {
  return osprey::emulation::atomic_change(address, [=](T before) { return std::max(before, value); });
}
template <class T>
T atomicMin(T* address, T value) {
  return osprey::emulation::atomic_change(address, [=](T before) { return std::min(before, value); });
}
template <class T>
T atomicOr(T* address, T value) {
  return std::atomic_ref<T>(*address).fetch_or(value, std::memory_order_relaxed);
}
template <class T>
T atomicAnd(T* address, T value) {
  return std::atomic_ref<T>(*address).fetch_and(value, std::memory_order_relaxed);
}
template <class T>
T atomicExch(T* address, T value) {
  return std::atomic_ref<T>(*address).exchange(value, std::memory_order_relaxed);
}
template <class T>
T atomicCAS(T* address, T expected, T value) {
  std::atomic_ref<T>(*address).compare_exchange_strong(expected, value, std::memory_order_relaxed);
  return expected;  // which is now what was found
}

inline int __popc(unsigned v) { return __builtin_popcount(v); }
inline int __ffs(int v) { return __builtin_ffs(v); }
inline int __clz(int v) { return v == 0 ? 32 : __builtin_clz(unsigned(v)); }
inline float rsqrtf(float v) { return 1.0f / std::sqrt(v); }
inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
inline int __float_as_int(float v) { return std::bit_cast<int>(v); }
inline unsigned __float_as_uint(float v) { return std::bit_cast<unsigned>(v); }
inline float __int_as_float(int v) { return std::bit_cast<float>(v); }
inline float __uint_as_float(unsigned v) { return std::bit_cast<float>(v); }

// A load that on a GPU may be kept in a cache that nobody updates: what it reads, no thread may write.
template <class T>
T __ldg(const T* address) {
  return *address;
}
