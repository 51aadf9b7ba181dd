// Mean and variance of each channel of x [N, H, W, C], five times: a reduction down the columns of a matrix
// with C columns and very many rows.
//
//   1  one block per channel       the formula; every read moves eight times what it uses
//   2  a tile of channels          neighbouring threads read neighbouring channels
//   3  one pass                    mean and variance together, without losing digits
//   4  many blocks                 the rows are cut in chunks, and their results combined in order
//   5  packs of 16 bytes           four channels to a thread
#include "bench/kernels/counted.cuh"
#include "bench/kernels/ladder.h"

namespace osprey::bench {
namespace {

constexpr int kThreads = 256, kLanes = 32, kDepth = kThreads / kLanes;  // of a tile: channels, and rows

// y holds means [C], then variances [C].
struct Statistics {
  Global<float> y;
  int channels;

  __device__ void store(int c, Real mean, Real variance) const {
    y.store(c, mean);
    y.store(channels + c, variance);
  }
};

// 1. One block per channel, whose threads walk down the rows: first for the mean, then for the squares of
// what differs from it. A sector of 32 bytes holds eight channels, of which this block wants one.
__device__ inline Real block_sum(Real v, SharedTile<1, kThreads>& sums) {
  const int thread = threadIdx.x;
  sums.store(0, thread, v);
  for (int half = kThreads / 2; half > 0; half /= 2) {
    __syncthreads();  // the sums of the step before are there
    if (thread < half) sums.store(0, thread, sums.load(0, thread) + sums.load(0, thread + half));
  }
  __syncthreads();  // the last sum is there
  const Real sum = sums.load(0, 0);
  __syncthreads();  // all have read it, so that the next sum may begin
  return sum;
}

__global__ void block_per_channel_kernel(Global<const float> x, int rows, Statistics statistics) {
  __shared__ SharedTile<1, kThreads> sums;
  const int c = blockIdx.x, channels = statistics.channels;
  Real sum = 0, squares = 0;
  for (int row = threadIdx.x; row < rows; row += kThreads) sum += x.load(row * channels + c);
  const Real mean = block_sum(sum, sums) / Real(rows);
  for (int row = threadIdx.x; row < rows; row += kThreads) {
    const Real difference = x.load(row * channels + c) - mean;
    squares += difference * difference;
  }
  const Real variance = block_sum(squares, sums) / Real(rows);
  if (threadIdx.x == 0) statistics.store(c, mean, variance);
}

// 2. One block per 32 channels: threadIdx.x is the channel, threadIdx.y every eighth row. A warp reads 128
// bytes in a row, all of which it wants. Each thread then adds up the eight values of its column.
__device__ inline Real column_sum(Real v, SharedTile<kDepth, kLanes>& values) {
  const int x = threadIdx.x;
  values.store(threadIdx.y, x, v);
  __syncthreads();  // all have written
  Real sum = 0;
  for (int row = 0; row < kDepth; ++row) sum += values.load(row, x);
  __syncthreads();  // all have read, so that the next sum may begin
  return sum;
}

__global__ void channel_tile_kernel(Global<const float> x, int rows, Statistics statistics) {
  __shared__ SharedTile<kDepth, kLanes> values;
  const int channels = statistics.channels, c = blockIdx.x * kLanes + threadIdx.x;
  const int mine = c < channels ? rows : 0;  // threads beyond the last channel keep the barriers company
  Real sum = 0, squares = 0;
  for (int row = threadIdx.y; row < mine; row += kDepth) sum += x.load(row * channels + c);
  const Real mean = column_sum(sum, values) / Real(rows);
  for (int row = threadIdx.y; row < mine; row += kDepth) {
    const Real difference = x.load(row * channels + c) - mean;
    squares += difference * difference;
  }
  const Real variance = column_sum(squares, values) / Real(rows);
  if (threadIdx.y == 0 && c < channels) statistics.store(c, mean, variance);
}

// Count, mean and sum of squared differences from the mean. Two of them combine exactly as if all values had
// been seen at once, and lose nothing where the mean is large, as sums of squares would. Chan, Golub and
// LeVeque, "Algorithms for computing the sample variance", 1983.
struct Moments {
  Real count, mean, squares;

  __device__ Moments operator+(const Moments& o) const {
    const Real total = count + o.count;
    if (!(total > Real(0))) return *this;
    const Real apart = o.mean - mean, share = o.count / total;
    return {total, mean + apart * share, squares + o.squares + apart * apart * count * share};
  }
};

// The moments of every `step`th row from `first` on, for N channels from c on. Differences are taken from
// the first value, which lies among the others, so that little cancels.
template <int N>
__device__ void moments_of_rows(const Global<const float>& x, int channels, int c, int first, int last,
                                int step, Moments (&moments)[N]) {
  if (first >= last || c >= channels) return;
  const Reals<N> shift = x.pack<N>(first * channels + c);
  Reals<N> sum{}, squares{};
  for (int row = first + step; row < last; row += step) {
    const Reals<N> values = x.pack<N>(row * channels + c);
    UNROLL
    for (int k = 0; k < N; ++k) {
      const Real difference = values[k] - shift[k];
      sum[k] += difference;
      squares[k] += difference * difference;
    }
  }
  const Real count = Real((last - first + step - 1) / step);
  UNROLL
  for (int k = 0; k < N; ++k)
    moments[k] = {count, shift[k] + sum[k] / count, squares[k] - sum[k] * sum[k] / count};
}

// Combines the moments of the threads of a column, in a fixed order, in the thread with threadIdx.y == 0. The
// first channels of all packs come first, then the second ones. With packs a warp writes to several rows;
// the spare columns put these into different banks.
template <int N>
struct MomentsTile {
  static constexpr int kColumns = kLanes / N;  // packs of channels side by side: the same 32 channels
  static constexpr int kRows = kThreads / kColumns;
  SharedTile<kRows, kLanes + 8> counts, means, squares;

  __device__ void combine(Moments (&moments)[N]) {
    const int x = threadIdx.x, y = threadIdx.y;
    for (int half = kRows / 2; half > 0; half /= 2) {
      if (y >= half && y < 2 * half)
        for (int k = 0; k < N; ++k) {
          counts.store(y, k * kColumns + x, moments[k].count);
          means.store(y, k * kColumns + x, moments[k].mean);
          squares.store(y, k * kColumns + x, moments[k].squares);
        }
      __syncthreads();  // the lower half of the threads has written; the next one writes elsewhere
      if (y < half)
        for (int k = 0; k < N; ++k)
          moments[k] = moments[k] + Moments{counts.load(y + half, k * kColumns + x),
                                            means.load(y + half, k * kColumns + x),
                                            squares.load(y + half, k * kColumns + x)};
    }
  }
};

// 3. The same block, and each value is read once.
__global__ void one_pass_kernel(Global<const float> x, int rows, Statistics statistics) {
  __shared__ MomentsTile<1> tile;
  const int c = blockIdx.x * kLanes + threadIdx.x;
  Moments moments[1] = {};
  moments_of_rows<1>(x, statistics.channels, c, threadIdx.y, rows, kDepth, moments);
  tile.combine(moments);
  if (threadIdx.y == 0 && c < statistics.channels)
    statistics.store(c, moments[0].mean, moments[0].squares / moments[0].count);
}

// 4. and 5. One block per 32 channels and chunk of rows, whose moments go to `partial` [chunks, 2, C]; a
// thread takes one channel, or packs of four.
struct Chunks {
  int rows, count;

  __device__ int first(int chunk) const { return int(int64_t(rows) * chunk / count); }
};

template <int N>
__global__ void chunk_kernel(Global<const float> x, Chunks chunks, int channels, Global<float> partial) {
  __shared__ MomentsTile<N> tile;
  const int c = (blockIdx.x * MomentsTile<N>::kColumns + threadIdx.x) * N, chunk = blockIdx.y;
  Moments moments[N] = {};
  moments_of_rows<N>(x, channels, c, chunks.first(chunk) + int(threadIdx.y), chunks.first(chunk + 1),
                     MomentsTile<N>::kRows, moments);
  tile.combine(moments);
  if (threadIdx.y != 0 || c >= channels) return;
  for (int k = 0; k < N; ++k) {
    partial.store((chunk * 2) * channels + c + k, moments[k].mean);
    partial.store((chunk * 2 + 1) * channels + c + k, moments[k].squares);
  }
}

// One thread per channel, which takes the chunks in order: the same bits in every run. Blocks that add to one
// sum with atomics would save this kernel, and take that away.
__global__ void combine_kernel(Global<const float> partial, Chunks chunks, Statistics statistics) {
  const int c = global_thread(), channels = statistics.channels;
  if (c >= channels) return;
  Moments all = {0, 0, 0};
  for (int chunk = 0; chunk < chunks.count; ++chunk)
    all = all + Moments{Real(chunks.first(chunk + 1) - chunks.first(chunk)),
                        partial.load(chunk * 2 * channels + c), partial.load((chunk * 2 + 1) * channels + c)};
  statistics.store(c, all.mean, all.squares / all.count);
}

// Differences from the first value stand for those from the mean, and may be some times as large: hence 16
// times the bound of a sum.
Expected expected_statistics(const std::vector<float>& x, int rows, int channels) {
  Expected expected;
  expected.values.resize(2 * size_t(channels));
  expected.bounds.resize(2 * size_t(channels));
  for (int c = 0; c < channels; ++c) {
    ExpectedSum sum, squares;
    for (int row = 0; row < rows; ++row) sum.add(x[size_t(row) * channels + c]);
    const double mean = sum.value / rows;
    for (int row = 0; row < rows; ++row) squares.add(std::pow(x[size_t(row) * channels + c] - mean, 2));
    expected.values[c] = mean;
    expected.bounds[c] = 2 * sum.bound() / rows;
    expected.values[channels + c] = squares.value / rows;
    expected.bounds[channels + c] = 16 * (squares.bound() + 0x1p-24 * std::fabs(mean)) / rows;
  }
  return expected;
}

struct Batch {
  int rows, channels;
  Chunks chunks;
  DeviceValues<float> values, partial_values, result;

  Global<const float> x() const { return View<const float>(values.view()); }
  Global<float> partial() const { return partial_values.view(); }
  Global<const float> partials() const { return View<const float>(partial_values.view()); }
  Statistics statistics() const { return {result.view(), channels}; }
  unsigned tiles() const { return unsigned((channels + kLanes - 1) / kLanes); }
};

template <int N>
void many_blocks(Stream& s, const Batch& p) {
  const dim3 threads(MomentsTile<N>::kColumns, MomentsTile<N>::kRows);
  start<chunk_kernel<N>>(s, Grid{dim3(p.tiles(), unsigned(p.chunks.count)), threads}, p.x(), p.chunks,
                         p.channels, p.partial());
  start<combine_kernel>(s, one_thread_each(p.channels, 32), p.partials(), p.chunks, p.statistics());
}

std::vector<Version> versions_of(const Batch& p) {
  const Grid tiles = {dim3(p.tiles()), dim3(kLanes, kDepth)};
  return {
      {"one block per channel",
       [=](Stream& s) {
         start<block_per_channel_kernel>(s, Grid{dim3(unsigned(p.channels)), dim3(kThreads)}, p.x(), p.rows,
                                         p.statistics());
       }},
      {"a tile of channels",
       [=](Stream& s) { start<channel_tile_kernel>(s, tiles, p.x(), p.rows, p.statistics()); }},
      {"one pass", [=](Stream& s) { start<one_pass_kernel>(s, tiles, p.x(), p.rows, p.statistics()); }},
      {"many blocks", [=](Stream& s) { many_blocks<1>(s, p); }},
      {"packs of 16 bytes",
       [=](Stream& s) { p.channels % 4 == 0 ? many_blocks<4>(s, p) : many_blocks<1>(s, p); }},
  };
}

}  // namespace

Ladder batchnorm_ladder(Stream& s, Shape in) {
  constexpr int kRowsOfChunk = 256;
  const auto x = uniform_values(in.size(), 1, 9, 11);  // means far from 0: sums of squares would cancel
  const Chunks chunks = {in.rows(), std::max(in.rows() / kRowsOfChunk, 1)};
  const Batch p = {in.rows(),           in.c, chunks, {s, in, x}, {s, {1, chunks.count, 2, in.c}},
                   {s, {1, 1, 2, in.c}}};
  return {"batchnorm",
          in.text(),
          3.0 * in.size(),
          4.0 * in.size(),
          std::vector<float>(2 * size_t(in.c), NAN),
          p.result,
          expected_statistics(x, in.rows(), in.c),
          versions_of(p)};
}

}  // namespace osprey::bench
