// The parts of a matrix product that rungs of two ladders share: a block makes a tile of c, 64 x 64, from as
// wide strips of a and b, 16 deep at a time; its threads, 8 x 8, keep 8 x 8 sums each in registers.
//
// b and c are matrices in rows. `a` may be anything that has a.pack<N>(i, k): the N values from (i, k) on, or
// zeros beyond its end.
#pragma once

#include "bench/kernels/counted.cuh"

namespace osprey::bench {

constexpr int kTile = 64, kDepth = 16, kEach = 8, kSide = kTile / kEach, kThreads = kSide * kSide;

template <class T>
struct Rows {
  Global<T> values;
  int rows, columns;

  template <int N>
  __device__ Reals<N> pack(int i, int j) const {
    return values.template pack_if<N>(i < rows && j < columns, i * columns + j);
  }
  __device__ Real load(int i, int j) const { return pack<1>(i, j)[0]; }
};

// Both with k down and the tile's side across. Four spare values put neighbouring k into other banks.
struct Strips {
  SharedTile<kDepth, kTile + 4> a, b;
};

// What a thread carries from global to shared memory, in registers in between.
template <int N>
struct Load {
  static constexpr int kPacks = kTile * kDepth / N / kThreads;
  Reals<N> a[kPacks], b[kPacks];
};

struct Position {  // within a strip
  int line, depth;
};

// The p-th pack of a that a thread carries. Neighbouring threads read 32 bytes of one row, a sector, and then
// go on to the next row, so that what they write to shared memory lies in different banks.
template <int N>
__device__ Position place_in_a(int p) {
  constexpr int kTogether = 8 / N;
  const int i = p * kThreads + int(threadIdx.y) * kSide + int(threadIdx.x);
  return {i / kTogether % kTile, (i % kTogether + i / (kTogether * kTile) * kTogether) * N};
}
// Of b: neighbouring threads read neighbours in a row.
template <int N>
__device__ Position place_in_b(int p) {
  const int i = p * kThreads + int(threadIdx.y) * kSide + int(threadIdx.x);
  return {i % (kTile / N) * N, i / (kTile / N)};
}

template <int N, class A>
__device__ void fetch(const A& a, const Rows<const float>& b, int i0, int j0, int depth, Load<N>& load) {
  UNROLL
  for (int p = 0; p < Load<N>::kPacks; ++p) {
    const Position from_a = place_in_a<N>(p), from_b = place_in_b<N>(p);
    load.a[p] = a.template pack<N>(i0 + from_a.line, depth + from_a.depth);
    load.b[p] = b.template pack<N>(depth + from_b.depth, j0 + from_b.line);
  }
}

template <int N>
__device__ void put(const Load<N>& load, Strips& strips) {
  UNROLL
  for (int p = 0; p < Load<N>::kPacks; ++p) {
    const Position to_a = place_in_a<N>(p), to_b = place_in_b<N>(p);
    UNROLL
    for (int n = 0; n < N; ++n) strips.a.store(to_a.depth + n, to_a.line, load.a[p][n]);
    strips.b.store(to_b.depth, to_b.line, load.b[p]);
  }
}

// Thread (x, y) owns rows 4y to 4y + 3 and 32 more, and columns 4x to 4x + 3 and 32 more: eight threads side
// by side read 32 values that lie side by side, one from each bank.
__device__ inline int owned(int thread, int u) { return u / 4 * (kTile / 2) + thread * 4 + u % 4; }

struct Sums {
  Real of[kEach][kEach] = {};
};

__device__ inline void multiply(const Strips& strips, Sums& sums) {
  for (int k = 0; k < kDepth; ++k) {
    Reals<4> a[2], b[2];
    UNROLL
    for (int half = 0; half < 2; ++half) {
      a[half] = strips.a.pack<4>(k, owned(int(threadIdx.y), half * 4));
      b[half] = strips.b.pack<4>(k, owned(int(threadIdx.x), half * 4));
    }
    UNROLL
    for (int u = 0; u < kEach; ++u) {
      UNROLL
      for (int v = 0; v < kEach; ++v) sums.of[u][v] += a[u / 4][u % 4] * b[v / 4][v % 4];
    }
  }
}

template <int N>
__device__ void write(const Sums& sums, const Rows<float>& c, int i0, int j0) {
  UNROLL
  for (int u = 0; u < kEach; ++u) {
    UNROLL
    for (int v = 0; v < kEach; v += N) {
      const int i = i0 + owned(int(threadIdx.y), u), j = j0 + owned(int(threadIdx.x), v);
      if (i >= c.rows || j >= c.columns) continue;
      Reals<N> pack;
      UNROLL
      for (int n = 0; n < N; ++n) pack[n] = sums.of[u][v + n];
      c.values.store(i * c.columns + j, pack);
    }
  }
}

// Two strips in turn. While the threads multiply one, the next is on its way from global memory into their
// registers; it goes to the strip that nobody reads. So one barrier to a strip is enough.
template <int N, class A>
__device__ void double_buffered_product(const A& a, const Rows<const float>& b, const Rows<float>& c) {
  Strips* strips = dynamic_shared<Strips>();
  const int i0 = int(blockIdx.y) * kTile, j0 = int(blockIdx.x) * kTile;
  Sums sums;
  Load<N> load;
  fetch(a, b, i0, j0, 0, load);
  put(load, strips[0]);
  __syncthreads();  // the first strip is there
  int turn = 0;
  for (int depth = 0; depth < b.rows; depth += kDepth, turn ^= 1) {
    const bool more = depth + kDepth < b.rows;
    if (more) fetch(a, b, i0, j0, depth + kDepth, load);
    multiply(strips[turn], sums);
    if (more) put(load, strips[turn ^ 1]);
    __syncthreads();  // this strip has been read, and the next is there
  }
  write<N>(sums, c, i0, j0);
}

inline unsigned blocks_of(int size, int tile) { return unsigned((size + tile - 1) / tile); }

inline Grid one_block_per_tile(int rows, int columns, size_t shared_bytes) {
  return {dim3(blocks_of(columns, kTile), blocks_of(rows, kTile)), dim3(kSide, kSide), shared_bytes};
}

}  // namespace osprey::bench
