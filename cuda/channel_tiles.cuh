// How blocks share a [rows, c] matrix where channels are handled one by one: a block takes a tile of up to
// 128 channels (32 if they do not come in packs) over one chunk of rows. Its threads lie side by side over
// the packs of the tile, threadIdx.x, and below each other down the rows, threadIdx.y.
#pragma once

#include "cuda/launch.h"
#include "cuda/pack.cuh"

namespace osprey::cuda {

constexpr int kTileThreads = 256;

// `images` matrices of `chunks` chunks each: blockIdx.z and blockIdx.y.
template <int N>
Grid channel_tiles(int c, int chunks, int images = 1) {
  constexpr unsigned kMost = N == 1 ? 32 : 128 / N;
  const unsigned packs = unsigned((c + N - 1) / N);
  unsigned lanes = 1;
  while (lanes < packs && lanes < kMost) lanes *= 2;
  return {dim3((packs + lanes - 1) / lanes, unsigned(chunks), unsigned(images)),
          dim3(lanes, kTileThreads / lanes)};
}

// The same for kernels that only pass over the rows: each thread takes about eight of them, enough to repay
// the loading of what belongs to its channels.
template <int N>
Grid channel_tiles_passed(int rows, int c) {
  constexpr int kRows = 8, kMostBlocks = 65535;
  const int depth = int(channel_tiles<N>(c, 1).threads.y);
  return channel_tiles<N>(c, std::min(1 + (rows - 1) / (depth * kRows), kMostBlocks));
}

// The first channel of the thread's pack, which may lie beyond the last channel.
template <int N>
__device__ int tile_pack() {
  return int(blockIdx.x * blockDim.x + threadIdx.x) * N;
}

struct Rows {
  int first, last;  // excluding
};

// The rows of chunk k.
__device__ inline Rows chunk_rows(int rows, int k, int chunks) {
  return {int(int64_t(rows) * k / chunks), int(int64_t(rows) * (k + 1) / chunks)};
}
__device__ inline Rows rows_of_block(int rows) { return chunk_rows(rows, int(blockIdx.y), int(gridDim.y)); }

// Combines what the threads of a column of the block hold, value by value, in a fixed order. The result is in
// the threads with threadIdx.y == 0. Every thread of the block must come here, once; `shared` has room for
// kTileThreads * N values.
template <int N, class V>
__device__ void reduce_columns(V (&values)[N], V* shared) {
  V* mine = shared + (threadIdx.y * blockDim.x + threadIdx.x) * N;
  for (unsigned half = blockDim.y / 2; half > 0; half /= 2) {
    if (threadIdx.y >= half && threadIdx.y < 2 * half)
      for (int k = 0; k < N; ++k) mine[k] = values[k];
    __syncthreads();  // the lower half of the threads has written; the next one writes elsewhere
    if (threadIdx.y < half)
      for (int k = 0; k < N; ++k) values[k] = values[k] + mine[half * blockDim.x * N + k];
  }
}

}  // namespace osprey::cuda
