// The product of two matrices by a block of threads, of which every dense sum in the engine is made:
//
//   c(i, j) = sum over k of a(i, k) b(k, j)
//
// a and b are not copied together first. A matrix is an arithmetic of addresses: element (line, k), where a
// line is a row of a or a column of b, is where the Place of its line and the Place of its k lead together.
// So the rows of a may be the pixels of an image and its columns the taps of a window, and a convolution is a
// product like any other.
//
// A Product is a struct that a kernel gets by value. It says
//   Value, Result, kPack         the types of the factors and of c, and how many values lie side by side
//   kAAlongDepth, kBAlongDepth   whether they do so along k, or from line to line
//   enter(z)                     chooses the part of the work that the blocks with blockIdx.z = z do
//   rows, columns, first, last   the size of c, and the range of k, as multiples of kPack wherever packed
//   a, b                         the Factors
//   a_row(i), a_depth(k), b_column(j), b_depth(k)      the Places
//   c, before, c_row(i)          where the results go: c(i, j) is at c_row(i) + j
//   finish(sum, before, j)       makes the result from the sum and the element of `before` at the same place
#pragma once

#include <climits>

#include "cuda/launch.h"
#include "cuda/pack.cuh"

// Sums stay in registers only if their loops are unrolled; the host compiler wants the inner one as a vector.
#ifdef __CUDACC__
#define UNROLLED _Pragma("unroll 8")
#define UNROLLED_LANES _Pragma("unroll 8")
#else
#define UNROLLED _Pragma("GCC unroll 8")
#ifdef _OPENMP
#define UNROLLED_LANES _Pragma("omp simd")
#else
#define UNROLLED_LANES
#endif
#endif

namespace osprey::cuda {

// A block makes a square tile of c from as wide strips of a and b, kDepth deep at a time. Each of its
// kSide x kSide threads keeps kEach x kEach sums in registers, so a value read from shared memory serves
// kEach.
constexpr int kTile = 64, kEach = 8, kSide = kTile / kEach, kThreads = kSide * kSide, kDepth = 32;

struct alignas(16) Place {
  int offset;
  int h, w;  // together with the other Place's: a pixel, which has to be inside of the Factor's image
};
// Together with any other Place it is outside.
constexpr Place kNowhere = {0, INT_MIN / 2, 0};

template <class T>
struct Factor {
  View<const T> values;
  int height = 1, width = 1;  // of the image; a plain matrix has one pixel

  template <int N>
  __device__ Floats<N> load(const Place& line, const Place& depth) const {
    const bool inside = unsigned(line.h + depth.h) < unsigned(height) &&  // a negative one becomes huge
                        unsigned(line.w + depth.w) < unsigned(width);
    return inside ? cuda::load<N>(values, line.offset + depth.offset) : Floats<N>{};
  }
};

// A strip of a and b, [k][line] each. The spare values put neighbouring k into other banks.
struct Strips {
  static constexpr int kPitch = kTile + 4;
  float a[kDepth][kPitch], b[kDepth][kPitch];
};

// Strips come in turns: while the threads multiply one they load the next, and find the Places of the one
// after that. So one barrier to a strip is enough.
struct ProductMemory {
  union {
    Strips strips[2];
    float results[kTile][Strips::kPitch];  // when the strips have been used up
  };
  int c_rows[kTile];
  Place a_rows[kTile], b_columns[kTile];
  Place a_depths[2][kDepth], b_depths[2][kDepth];
};

__device__ inline int thread_of_block() { return int(threadIdx.y) * kSide + int(threadIdx.x); }

// Thread k finds the Places of depth first + k: in a if it is one of the first kDepth, otherwise in b.
template <class Product>
__device__ void find_depths(const Product& p, int first, Place (&a)[kDepth], Place (&b)[kDepth]) {
  static_assert(kThreads == 2 * kDepth);
  const int thread = thread_of_block(), k = first + thread % kDepth;
  if (thread < kDepth)
    a[thread] = k < p.last ? p.a_depth(k) : kNowhere;
  else
    b[thread % kDepth] = k < p.last ? p.b_depth(k) : kNowhere;
}

// Packs along depth: neighbouring threads read 32 bytes of one line, the least that memory moves at once, and
// then go on to the next line, so that what they write lies in different banks.
template <int N, class T>
__device__ void load_along_depth(const Factor<T>& factor, const Place* lines, const Place* depths,
                                 float (*strip)[Strips::kPitch]) {
  constexpr int kTogether = 32 / (N * int(sizeof(T)));
  for (int i = thread_of_block(); i < kTile * kDepth / N; i += kThreads) {
    const int line = i / kTogether % kTile;
    const int k = (i % kTogether + i / (kTogether * kTile) * kTogether) * N;
    const Floats<N> pack = factor.template load<N>(lines[line], depths[k]);
    for (int n = 0; n < N; ++n) strip[k + n][line] = pack[n];
  }
}

// Packs from line to line: neighbouring threads read neighbours in memory.
template <int N, class T>
__device__ void load_along_lines(const Factor<T>& factor, const Place* lines, const Place* depths,
                                 float (*strip)[Strips::kPitch]) {
  for (int i = thread_of_block(); i < kTile * kDepth / N; i += kThreads) {
    const int line = i % (kTile / N) * N, k = i / (kTile / N);
    const Floats<N> pack = factor.template load<N>(lines[line], depths[k]);
    for (int n = 0; n < N; ++n) strip[k][line + n] = pack[n];
  }
}

template <class Product>
__device__ void load_strips(const Product& p, const ProductMemory& memory, int turn, Strips& strips) {
  constexpr int N = Product::kPack;
  if (Product::kAAlongDepth)
    load_along_depth<N>(p.a, memory.a_rows, memory.a_depths[turn], strips.a);
  else
    load_along_lines<N>(p.a, memory.a_rows, memory.a_depths[turn], strips.a);
  if (Product::kBAlongDepth)
    load_along_depth<N>(p.b, memory.b_columns, memory.b_depths[turn], strips.b);
  else
    load_along_lines<N>(p.b, memory.b_columns, memory.b_depths[turn], strips.b);
}

struct Sums {
  float of[kEach][kEach] = {};
};

__device__ inline void multiply(const Strips& strips, int row, int column, Sums& total) {
  Sums sums = total;  // a copy has no address, and so stays in registers
  UNROLLED
  for (int k = 0; k < kDepth; ++k) {
    const float *a = &strips.a[k][row], *b = &strips.b[k][column];
    UNROLLED
    for (int u = 0; u < kEach; ++u) {
      UNROLLED_LANES
      for (int v = 0; v < kEach; ++v) sums.of[u][v] += a[u] * b[v];
    }
  }
  total = sums;
}

__device__ inline void put_results(const Sums& sums, int row, int column, ProductMemory& memory) {
  UNROLLED
  for (int u = 0; u < kEach; ++u) {
    UNROLLED_LANES
    for (int v = 0; v < kEach; ++v) memory.results[row + u][column + v] = sums.of[u][v];
  }
}

// The tile's sums, once all threads have put theirs into shared memory: neighbouring threads write
// neighbours, in packs of N.
template <int N, class Product>
__device__ void write_results(const Product& p, const ProductMemory& memory, int row0, int column0) {
  for (int i = thread_of_block(); i < kTile * kTile / N; i += kThreads) {
    const int row = i / (kTile / N), column = i % (kTile / N) * N, j = column0 + column;
    if (row0 + row >= p.rows || j >= p.columns) continue;
    const int at = memory.c_rows[row] + j;
    Floats<N> values = {};
    if (p.before) values = load<N>(p.before, at);
    for (int n = 0; n < N; ++n) values[n] = p.finish(memory.results[row][column + n], values[n], j + n);
    store(p.c, at, values);
  }
}

// One block per tile of c and part of the work; thread (x, y) makes the kEach x kEach elements from row
// y kEach and column x kEach of the tile on.
template <class Product>
__global__ void __launch_bounds__(kThreads) product_kernel(Product p, bool packed_results) {
  p.enter(int(blockIdx.z));
  const int row0 = int(blockIdx.x) * kTile, column0 = int(blockIdx.y) * kTile;
  if (row0 >= p.rows || column0 >= p.columns) return;  // the whole block
  ProductMemory& memory = *dynamic_shared<ProductMemory>();
  const int thread = thread_of_block(), row = int(threadIdx.y) * kEach, column = int(threadIdx.x) * kEach;
  const bool in_rows = row0 + thread < p.rows;
  memory.a_rows[thread] = in_rows ? p.a_row(row0 + thread) : kNowhere;
  memory.c_rows[thread] = in_rows ? p.c_row(row0 + thread) : 0;
  memory.b_columns[thread] = column0 + thread < p.columns ? p.b_column(column0 + thread) : kNowhere;
  find_depths(p, p.first, memory.a_depths[0], memory.b_depths[0]);
  __syncthreads();  // the Places of the first strip are known
  load_strips(p, memory, 0, memory.strips[0]);
  find_depths(p, p.first + kDepth, memory.a_depths[1], memory.b_depths[1]);
  __syncthreads();  // the first strip is loaded, and the Places of the second are known
  Sums sums;
  int turn = 0;
  for (int k = p.first; k < p.last; k += kDepth, turn ^= 1) {
    if (k + kDepth < p.last) load_strips(p, memory, turn ^ 1, memory.strips[turn ^ 1]);
    find_depths(p, k + 2 * kDepth, memory.a_depths[turn], memory.b_depths[turn]);
    multiply(memory.strips[turn], row, column, sums);
    __syncthreads();  // this strip has been read, the next one is loaded, and the Places after it are known
  }
  put_results(sums, row, column, memory);
  __syncthreads();  // all results are there
  if (packed_results)
    write_results<4>(p, memory, row0, column0);
  else
    write_results<1>(p, memory, row0, column0);
}

// `parts` are the values that enter() may be called with. Results are written in packs where all their rows
// start at multiples of four values.
template <class Product>
void launch_product(Stream& s, const Product& p, int parts, bool packed_results) {
  const auto tiles = [](int size) { return unsigned((size + kTile - 1) / kTile); };
  const Grid grid = {dim3(tiles(p.rows), tiles(p.columns), unsigned(parts)), dim3(kSide, kSide),
                     sizeof(ProductMemory)};
  launch<product_kernel<Product>>(s, grid, p, packed_results);
}

}  // namespace osprey::cuda
