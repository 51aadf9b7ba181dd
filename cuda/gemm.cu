#include "cuda/gemm.h"

#include "cuda/launch.h"

namespace osprey::cuda {
namespace {

// A block makes a tile of c, kTile to a side, from as wide strips of a and b, kTile deep at a time. Each of
// its kSide x kSide threads keeps kEach x kEach sums in registers, so a value read from shared memory serves
// kEach.
constexpr int kTile = 32, kSide = 8, kEach = kTile / kSide;

struct SharedTiles {  // each column or row has a value to spare, so that a column lies in different banks
  float a[kTile][kTile + 1], b[kTile][kTile + 1];
};

// All threads copy the part of m from (i0, j0) on, zeros where it has ended. Neighbouring threads take
// neighbours in memory, whichever way the matrix lies.
__device__ void load_tile(const Matrix<const float>& m, int i0, int j0, float (*tile)[kTile + 1]) {
  const bool down = m.row_step == 1;
  for (int k = threadIdx.y * kSide + threadIdx.x; k < kTile * kTile; k += kSide * kSide) {
    const int i = down ? k % kTile : k / kTile, j = down ? k / kTile : k % kTile;
    tile[i][j] = m.contains(i0 + i, j0 + j) ? m(i0 + i, j0 + j) : 0.0f;
  }
}

// One block per tile of c; thread (x, y) makes the columns x, x + kSide, ... of the rows y, y + kSide, ...
__global__ void gemm_kernel(Matrix<const float> a, Matrix<const float> b, Matrix<float> c, bool add,
                            View<const float> bias) {
  SharedTiles& tiles = *dynamic_shared<SharedTiles>();
  const int i0 = blockIdx.y * kTile, j0 = blockIdx.x * kTile, x = threadIdx.x, y = threadIdx.y;
  float sums[kEach][kEach] = {};
  for (int depth = 0; depth < a.columns; depth += kTile) {
    load_tile(a, i0, depth, tiles.a);
    load_tile(b, depth, j0, tiles.b);
    __syncthreads();  // the tiles are whole
    for (int k = 0; k < kTile; ++k)
      for (int u = 0; u < kEach; ++u)
        for (int v = 0; v < kEach; ++v) sums[u][v] += tiles.a[y + u * kSide][k] * tiles.b[k][x + v * kSide];
    __syncthreads();  // all have read them, so that the next ones may be loaded
  }
  for (int u = 0; u < kEach; ++u)
    for (int v = 0; v < kEach; ++v) {
      const int i = i0 + y + u * kSide, j = j0 + x + v * kSide;
      if (!c.contains(i, j)) continue;
      const float value = bias ? sums[u][v] + bias[j] : sums[u][v];
      c(i, j) = add ? c(i, j) + value : value;
    }
}

unsigned tiles(int size) { return unsigned((size + kTile - 1) / kTile); }

}  // namespace

void gemm(Stream& s, Matrix<const float> a, Matrix<const float> b, Matrix<float> c, bool add,
          View<const float> bias) {
  const Grid grid = {dim3(tiles(c.columns), tiles(c.rows)), dim3(kSide, kSide), sizeof(SharedTiles)};
  launch<gemm_kernel>(s, grid, a, b, c, add, bias);
}

}  // namespace osprey::cuda
