#include "cuda/l2norm.h"

#include "cuda/block.cuh"
#include "cuda/channel_tiles.cuh"
#include "cuda/launch.h"
#include "cuda/pack.cuh"

namespace osprey::cuda {
namespace {

constexpr int kWarps = 8;  // of a block

Grid one_warp_each(int rows) { return {dim3(unsigned((rows + kWarps - 1) / kWarps)), dim3(32 * kWarps)}; }

// Parameters do not start where a pack may, hence one by one.
template <int N>
__device__ Floats<N> scales(const L2Norm& l, int c) {
  Floats<N> factors;
  for (int k = 0; k < N; ++k) factors[k] = l.scale ? l.scale[c + k] : 1.0f;
  return factors;
}

// One warp per pixel; its lanes take packs of the channels in turn. Warps beyond the last pixel have no
// channels, and only take part in the sum.
template <class T, int N>
__global__ void l2norm_forward_kernel(View<const T> x, L2Norm l, View<T> y) {
  const int row = global_thread() / 32, lane = threadIdx.x % 32;
  const bool inside = row < x.shape.rows();
  const int channels = inside ? x.shape.c : 0, start = inside ? row * x.shape.c : 0;
  float sum = 0;
  for (int c = lane * N; c < channels; c += 32 * N) {
    const Floats<N> values = load<N>(x, start + c);
    for (int k = 0; k < N; ++k) sum += values[k] * values[k];
  }
  const float norm = sqrtf(warp_sum(sum)), m = norm + l.epsilon;
  for (int c = lane * N; c < channels; c += 32 * N) {
    Floats<N> values = load<N>(x, start + c);
    const Floats<N> factors = scales<N>(l, c);
    for (int k = 0; k < N; ++k) values[k] = factors[k] * (values[k] / m);
    store(y, start + c, values);
  }
  if (inside && lane == 0 && l.norms) l.norms[row] = norm;
}

// The same mapping: the part of the gradient that lengthens x changes nothing, and is taken away.
template <class T, int N>
__global__ void l2norm_backward_input_kernel(View<const T> x, L2Norm l, View<const T> dy, View<T> dx) {
  const int row = global_thread() / 32, lane = threadIdx.x % 32;
  const float norm = row < x.shape.rows() ? l.norms[row] : 0, m = norm + l.epsilon;
  const bool learns = norm != 0;  // of a warp, all lanes or none
  const int channels = learns ? x.shape.c : 0, start = learns ? row * x.shape.c : 0;
  float along = 0;
  for (int c = lane * N; c < channels; c += 32 * N) {
    const Floats<N> values = load<N>(x, start + c), gradients = load<N>(dy, start + c);
    const Floats<N> factors = scales<N>(l, c);
    for (int k = 0; k < N; ++k) along += factors[k] * gradients[k] * (values[k] / m);
  }
  const float factor = warp_sum(along) / norm;
  for (int c = lane * N; c < channels; c += 32 * N) {
    const Floats<N> values = load<N>(x, start + c), gradients = load<N>(dy, start + c);
    Floats<N> factors = scales<N>(l, c);
    for (int k = 0; k < N; ++k) factors[k] = (factors[k] * gradients[k] - values[k] * factor) / m;
    store(dx, start + c, factors, true);
  }
}

// One block per tile of channels and chunk of rows: the chunk's sums of dy x / m.
template <class T, int N>
__global__ void l2norm_scale_sums_kernel(View<const T> x, L2Norm l, View<const T> dy, View<float> partial) {
  const int c = tile_pack<N>(), channels = x.shape.c;
  const Rows rows = rows_of_block(x.shape.rows());
  float sums[N] = {};
  if (c < channels)
    for (int row = rows.first + int(threadIdx.y); row < rows.last; row += blockDim.y) {
      const Floats<N> values = load<N>(x, row * channels + c), gradients = load<N>(dy, row * channels + c);
      const float m = l.norms[row] + l.epsilon;
      for (int k = 0; k < N; ++k) sums[k] += gradients[k] * (values[k] / m);
    }
  reduce_columns(sums, dynamic_shared<float>());
  if (threadIdx.y != 0 || c >= channels) return;
  for (int k = 0; k < N; ++k) partial(0, 0, int(blockIdx.y), c + k) = sums[k];
}

// One block per tile of channels, a thread for every sixteenth chunk of one channel.
__global__ void l2norm_add_sums_kernel(View<const float> partial, View<float> dscale) {
  const int c = tile_channel();
  const bool inside = c < dscale.size();
  const int chunks = inside ? partial.shape.w : 0;  // threads beyond only keep the barriers company
  double sum = 0;
  for (int k = threadIdx.y; k < chunks; k += kTileRows) sum += double(partial(0, 0, k, c));
  sum = tile_sum(sum);
  if (inside && threadIdx.y == 0) dscale[c] += float(sum);
}

}  // namespace

void l2norm_forward(Stream& s, Tensor x, L2Norm l, Tensor y) {
  with_packs({x.shape.c}, {x, y}, [&](auto value, auto length) {
    using T = decltype(value);
    launch<l2norm_forward_kernel<T, decltype(length)::value>>(s, one_warp_each(x.shape.rows()),
                                                              x.view<const T>(), l, y.view<T>());
  });
}

void l2norm_backward_input(Stream& s, Tensor x, L2Norm l, Tensor dy, Tensor dx) {
  with_packs({x.shape.c}, {x, dy, dx}, [&](auto value, auto length) {
    using T = decltype(value);
    launch<l2norm_backward_input_kernel<T, decltype(length)::value>>(
        s, one_warp_each(x.shape.rows()), x.view<const T>(), l, dy.view<const T>(), dx.view<T>());
  });
}

void l2norm_backward_scale(Stream& s, Tensor x, L2Norm l, Tensor dy, View<float> partial,
                           View<float> dscale) {
  with_packs({x.shape.c}, {x, dy}, [&](auto value, auto length) {
    using T = decltype(value);
    constexpr int N = decltype(length)::value;
    Grid grid = channel_tiles<N>(x.shape.c, partial.shape.w);
    grid.shared_bytes = sizeof(float) * kTileThreads * N;
    launch<l2norm_scale_sums_kernel<T, N>>(s, grid, x.view<const T>(), l, dy.view<const T>(), partial);
  });
  launch<l2norm_add_sums_kernel>(s, one_block_per_channel_tile(dscale.size()), partial, dscale);
}

}  // namespace osprey::cuda
