// The product of two matrices, c = a b, five times.
//
//   1  one thread per output        the formula
//   2  tiles in shared memory       each value is fetched once for 16 threads
//   3  a tile of sums per thread    each value read from shared memory serves 8 sums
//   4  packs of 16 bytes            a quarter of the instructions that move data
//   5  double buffering             the next strip travels while this one is multiplied
#include "bench/kernels/ladder.h"
#include "bench/kernels/tile_product.cuh"

namespace osprey::bench {
namespace {

// 1. One thread per element of c. Neighbouring threads take neighbours of a row: b is read in whole sectors,
// and the one value of a goes to all of them. But for each multiplication two values cross the chip.
__global__ void one_output_kernel(Rows<const float> a, Rows<const float> b, Rows<float> c) {
  const int i = blockIdx.y * blockDim.y + threadIdx.y, j = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= c.rows || j >= c.columns) return;
  Real sum = 0;
  for (int k = 0; k < b.rows; ++k) sum += a.values.load(i * a.columns + k) * b.values.load(k * b.columns + j);
  c.values.store(i * c.columns + j, sum);
}

// 2. One block per square of c, one thread per element of it. The block copies a square of a and one of b to
// shared memory, where each value serves a whole row or column of threads.
constexpr int kSquare = 16;

__global__ void shared_tiles_kernel(Rows<const float> a, Rows<const float> b, Rows<float> c) {
  __shared__ SharedTile<kSquare, kSquare> tile_a, tile_b;
  const int x = threadIdx.x, y = threadIdx.y;
  const int i = blockIdx.y * kSquare + y, j = blockIdx.x * kSquare + x;
  Real sum = 0;
  for (int depth = 0; depth < b.rows; depth += kSquare) {
    tile_a.store(y, x, a.load(i, depth + x));
    tile_b.store(y, x, b.load(depth + y, j));
    __syncthreads();  // the squares are whole
    for (int k = 0; k < kSquare; ++k) sum += tile_a.load(y, k) * tile_b.load(k, x);
    __syncthreads();  // all have read them, so that the next ones may come
  }
  if (i < c.rows && j < c.columns) c.values.store(i * c.columns + j, sum);
}

// 3. One block per tile of c, 8 x 8 sums per thread, 8 apart from each other. 16 values come from shared
// memory for 64 products, where the version before reads 128. The spare column of a puts its rows into
// different banks.
struct PlainStrips {
  SharedTile<kTile, kDepth + 1> a;
  SharedTile<kDepth, kTile> b;
};

__global__ void __launch_bounds__(kThreads)
    register_tile_kernel(Rows<const float> a, Rows<const float> b, Rows<float> c) {
  PlainStrips& strips = *dynamic_shared<PlainStrips>();
  const int x = threadIdx.x, y = threadIdx.y, i0 = blockIdx.y * kTile, j0 = blockIdx.x * kTile;
  Sums sums;
  for (int depth = 0; depth < b.rows; depth += kDepth) {
    for (int t = y * kSide + x; t < kTile * kDepth; t += kThreads) {
      const int line = t / kDepth, k = t % kDepth, row = t / kTile, column = t % kTile;
      strips.a.store(line, k, a.load(i0 + line, depth + k));
      strips.b.store(row, column, b.load(depth + row, j0 + column));
    }
    __syncthreads();  // the strips are whole
    for (int k = 0; k < kDepth; ++k) {
      Real of_a[kEach], of_b[kEach];
      UNROLL
      for (int u = 0; u < kEach; ++u) {
        of_a[u] = strips.a.load(y + u * kSide, k);
        of_b[u] = strips.b.load(k, x + u * kSide);
      }
      UNROLL
      for (int u = 0; u < kEach; ++u) {
        UNROLL
        for (int v = 0; v < kEach; ++v) sums.of[u][v] += of_a[u] * of_b[v];
      }
    }
    __syncthreads();  // all have read them, so that the next ones may come
  }
  UNROLL
  for (int u = 0; u < kEach; ++u) {
    UNROLL
    for (int v = 0; v < kEach; ++v) {
      const int i = i0 + y + u * kSide, j = j0 + x + v * kSide;
      if (i < c.rows && j < c.columns) c.values.store(i * c.columns + j, sums.of[u][v]);
    }
  }
}

// 4. The same, in packs: four neighbours travel in one instruction, from global to shared memory and from
// there to registers. For that a strip of a is turned on its way, so that its rows lie side by side.
template <int N>
__global__ void __launch_bounds__(kThreads)
    packed_kernel(Rows<const float> a, Rows<const float> b, Rows<float> c) {
  Strips& strips = *dynamic_shared<Strips>();
  const int i0 = blockIdx.y * kTile, j0 = blockIdx.x * kTile;
  Sums sums;
  for (int depth = 0; depth < b.rows; depth += kDepth) {
    Load<N> load;
    fetch(a, b, i0, j0, depth, load);
    put(load, strips);
    __syncthreads();  // the strips are whole
    multiply(strips, sums);
    __syncthreads();  // all have read them, so that the next ones may come
  }
  write<N>(sums, c, i0, j0);
}

// 5. The same, in two strips that take turns.
template <int N>
__global__ void __launch_bounds__(kThreads)
    double_buffered_kernel(Rows<const float> a, Rows<const float> b, Rows<float> c) {
  double_buffered_product<N>(a, b, c);
}

Expected expected_product(const std::vector<float>& a, const std::vector<float>& b, int m, int n, int k) {
  Expected expected;
  std::vector<ExpectedSum> row(n);
  for (int i = 0; i < m; ++i) {
    row.assign(n, {});
    for (int l = 0; l < k; ++l)
      for (int j = 0; j < n; ++j) row[j].add(double(a[i * k + l]) * b[l * n + j]);
    for (const ExpectedSum& sum : row) {
      expected.values.push_back(sum.value);
      expected.bounds.push_back(sum.bound());
    }
  }
  return expected;
}

struct Matrices {
  int m, n, k;
  DeviceValues<float> a_values, b_values, c_values;

  Rows<const float> a() const { return {View<const float>(a_values.view()), m, k}; }
  Rows<const float> b() const { return {View<const float>(b_values.view()), k, n}; }
  Rows<float> c() const { return {c_values.view(), m, n}; }
};

std::vector<Version> versions_of(const Matrices& p) {
  const bool packs = p.k % 4 == 0 && p.n % 4 == 0;
  const Grid outputs = {dim3(blocks_of(p.n, 32), blocks_of(p.m, 8)), dim3(32, 8)};
  const Grid squares = {dim3(blocks_of(p.n, kSquare), blocks_of(p.m, kSquare)), dim3(kSquare, kSquare)};
  const Grid tiles = one_block_per_tile(p.m, p.n, sizeof(Strips));
  const Grid plain = one_block_per_tile(p.m, p.n, sizeof(PlainStrips));
  const Grid doubled = one_block_per_tile(p.m, p.n, 2 * sizeof(Strips));
  return {
      {"one thread per output",
       [=](Stream& s) { start<one_output_kernel>(s, outputs, p.a(), p.b(), p.c()); }},
      {"tiles in shared memory",
       [=](Stream& s) { start<shared_tiles_kernel>(s, squares, p.a(), p.b(), p.c()); }},
      {"a tile of sums per thread",
       [=](Stream& s) { start<register_tile_kernel>(s, plain, p.a(), p.b(), p.c()); }},
      {"packs of 16 bytes",
       [=](Stream& s) {
         packs ? start<packed_kernel<4>>(s, tiles, p.a(), p.b(), p.c())
               : start<packed_kernel<1>>(s, tiles, p.a(), p.b(), p.c());
       }},
      {"double buffering",
       [=](Stream& s) {
         packs ? start<double_buffered_kernel<4>>(s, doubled, p.a(), p.b(), p.c())
               : start<double_buffered_kernel<1>>(s, doubled, p.a(), p.b(), p.c());
       }},
  };
}

}  // namespace

Ladder gemm_ladder(Stream& s, int m, int n, int k) {
  const auto a = uniform_values(int64_t(m) * k, 1), b = uniform_values(int64_t(k) * n, 2);
  const Matrices p = {m, n, k, {s, {1, 1, m, k}, a}, {s, {1, 1, k, n}, b}, {s, {1, 1, m, n}}};
  return {"gemm",
          std::to_string(m) + " x " + std::to_string(n) + ", " + std::to_string(k) + " deep",
          2.0 * m * n * k,
          4.0 * (double(m) * k + double(k) * n + double(m) * n),
          std::vector<float>(size_t(m) * n, NAN),
          p.c_values,
          expected_product(a, b, m, n, k),
          versions_of(p)};
}

}  // namespace osprey::bench
