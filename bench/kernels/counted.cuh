// What the kernels of this folder touch memory with, and calculate with. On a GPU these are plain loads,
// stores and floats, and cost nothing. In the emulation each of them is also counted (counting.h), for which
// accessors learn the line that calls them.
#pragma once

#include <cassert>

#include "cuda/launch.h"
#include "cuda/pack.cuh"

#ifdef __CUDACC__
#define UNROLL _Pragma("unroll")
#else
#include "bench/kernels/counting.h"
#define UNROLL
#endif

namespace osprey::bench {

using cuda::dynamic_shared;
using cuda::global_thread;
using cuda::Grid;
using cuda::one_thread_each;
using cuda::Pack;

#ifdef __CUDACC__

using Real = float;

enum class Access { read, write, atomic, shared_read, shared_write };
__device__ inline void note(Access, const void*, int, int) {}
inline void count_launch(const Grid&) {}

#else

// A float whose arithmetic is counted.
struct Real {
  float value;

  Real() = default;
  Real(float value) : value(value) {}
  explicit operator float() const { return value; }

  friend Real operator+(Real a, Real b) { return counted(a.value + b.value); }
  friend Real operator-(Real a, Real b) { return counted(a.value - b.value); }
  friend Real operator*(Real a, Real b) { return counted(a.value * b.value); }
  friend Real operator/(Real a, Real b) { return counted(a.value / b.value); }
  friend bool operator>(Real a, Real b) { return a.value > b.value; }
  Real& operator+=(Real b) { return *this = *this + b; }

 private:
  static Real counted(float result) {
    if (counting::on) ++counting::flops;
    return result;
  }
};

inline void note(Access access, const void* address, int bytes, int line) {
  if (counting::on) note_access(access, address, bytes, line);
}
inline void count_launch(const Grid& grid) {
  if (counting::on) note_launch(int64_t(grid.blocks.x) * grid.blocks.y * grid.blocks.z);
}
inline void counted_barrier() {
  if (counting::on) note_barrier();
  __syncthreads();
}
#define __syncthreads() osprey::bench::counted_barrier()

#endif

// cuda::launch, and counted.
template <auto Kernel, class... Arguments>
void start(Stream& stream, Grid grid, Arguments... arguments) {
  count_launch(grid);
  cuda::launch<Kernel>(stream, grid, arguments...);
}

template <int N>
using Reals = Pack<Real, N>;

// A view of global memory whose accesses are counted.
template <class T>
struct Global {
  using Stored = std::remove_const_t<T>;
  using Value = std::conditional_t<std::is_same_v<Stored, float>, Real, Stored>;  // what kernels see

  View<T> view;

  Global() = default;
  Global(View<T> view) : view(view) {}

  __device__ int size() const { return view.size(); }

  __device__ Value load(int i, int line = __builtin_LINE()) const {
    note(Access::read, &view[i], sizeof(T), line);
    return view[i];
  }
  // The N values from i on, in one instruction.
  template <int N>
  __device__ Pack<Value, N> pack(int i, int line = __builtin_LINE()) const {
    return pack_if<N>(true, i, line);
  }
  // The same, or zeros.
  template <int N>
  __device__ Pack<Value, N> pack_if(bool wanted, int i, int line = __builtin_LINE()) const {
    Pack<Value, N> values{};
    note(Access::read, wanted ? &view[i] : nullptr, sizeof(T) * N, line);
    if (!wanted) return values;
    (void)view[i + N - 1];  // checks the far end
    const Pack<Stored, N> stored = *reinterpret_cast<const Pack<Stored, N>*>(&view[i]);
    UNROLL
    for (int k = 0; k < N; ++k) values[k] = stored[k];
    return values;
  }

  __device__ void store(int i, Value value, int line = __builtin_LINE()) const {
    note(Access::write, &view[i], sizeof(T), line);
    view[i] = T(value);
  }
  template <int N>
  __device__ void store(int i, const Pack<Value, N>& values, int line = __builtin_LINE()) const {
    Pack<Stored, N> stored;
    UNROLL
    for (int k = 0; k < N; ++k) stored[k] = Stored(values[k]);
    (void)view[i + N - 1];
    note(Access::write, &view[i], sizeof(T) * N, line);
    *reinterpret_cast<Pack<Stored, N>*>(&view[i]) = stored;
  }
  __device__ void atomic_add(int i, Value value, int line = __builtin_LINE()) const {
    note(Access::atomic, &view[i], sizeof(T), line);
    atomicAdd(&view[i], T(value));
  }
};

// A matrix in shared memory, in rows of kPitch floats.
template <int kRows, int kPitch>
struct alignas(16) SharedTile {
  float values[kRows][kPitch];

  __device__ Real load(int i, int j, int line = __builtin_LINE()) const {
    assert(i < kRows && j < kPitch);
    note(Access::shared_read, &values[i][j], sizeof(float), line);
    return values[i][j];
  }
  template <int N>
  __device__ Reals<N> pack(int i, int j, int line = __builtin_LINE()) const {
    static_assert(kPitch % N == 0, "rows have to start where a pack may");
    assert(i < kRows && j + N <= kPitch);
    note(Access::shared_read, &values[i][j], sizeof(float) * N, line);
    const Pack<float, N> stored = *reinterpret_cast<const Pack<float, N>*>(&values[i][j]);
    Reals<N> reals;
    UNROLL
    for (int k = 0; k < N; ++k) reals[k] = stored[k];
    return reals;
  }
  __device__ void store(int i, int j, Real value, int line = __builtin_LINE()) {
    assert(i < kRows && j < kPitch);
    note(Access::shared_write, &values[i][j], sizeof(float), line);
    values[i][j] = float(value);
  }
  template <int N>
  __device__ void store(int i, int j, const Reals<N>& reals, int line = __builtin_LINE()) {
    static_assert(kPitch % N == 0, "rows have to start where a pack may");
    assert(i < kRows && j + N <= kPitch);
    note(Access::shared_write, &values[i][j], sizeof(float) * N, line);
    Pack<float, N> stored;
    UNROLL
    for (int k = 0; k < N; ++k) stored[k] = float(reals[k]);
    *reinterpret_cast<Pack<float, N>*>(&values[i][j]) = stored;
  }
};

}  // namespace osprey::bench
