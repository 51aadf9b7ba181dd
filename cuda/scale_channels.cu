#include "cuda/scale_channels.h"

#include "cuda/block.cuh"
#include "cuda/channel_tiles.cuh"
#include "cuda/launch.h"
#include "cuda/pack.cuh"

namespace osprey::cuda {
namespace {

// One thread per pack of x.
template <class T, int N>
__global__ void scale_channels_forward_kernel(View<const T> gate, View<const T> x, View<T> y, bool pixels,
                                              bool add) {
  const int i = global_thread() * N;
  if (i >= y.size()) return;
  const int row = i / y.shape.c, image = y.shape.h * y.shape.w;
  Floats<N> values = load<N>(x, i), factors;
  if (pixels)
    for (int k = 0; k < N; ++k) factors[k] = gate[row];
  else
    factors = load<N>(gate, row / image * y.shape.c + i % y.shape.c);
  for (int k = 0; k < N; ++k) values[k] *= factors[k];
  store(y, i, values, add);
}

// One block per tile of channels and image.
template <class T, int N>
__global__ void scale_channels_backward_gate_kernel(View<const T> x, View<const T> dy, View<T> dgate) {
  const int c = tile_pack<N>(), channels = x.shape.c, pixels = x.shape.h * x.shape.w;
  const int first = int(blockIdx.z) * pixels;
  float sums[N] = {};
  if (c < channels)
    for (int pixel = threadIdx.y; pixel < pixels; pixel += blockDim.y) {
      const int i = (first + pixel) * channels + c;
      const Floats<N> values = load<N>(x, i), gradients = load<N>(dy, i);
      for (int k = 0; k < N; ++k) sums[k] += values[k] * gradients[k];
    }
  reduce_columns(sums, dynamic_shared<float>());
  if (threadIdx.y != 0 || c >= channels) return;
  for (int k = 0; k < N; ++k) {
    T& gradient = dgate(int(blockIdx.z), 0, 0, c + k);
    gradient = T(float(gradient) + sums[k]);
  }
}

// One warp per pixel.
template <class T>
__global__ void scale_channels_backward_pixels_kernel(View<const T> x, View<const T> dy, View<T> dgate) {
  const int row = global_thread() / 32, lane = threadIdx.x % 32, channels = x.shape.c;
  float sum = 0;
  if (row < dgate.size())
    for (int c = lane; c < channels; c += 32)
      sum += float(x[row * channels + c]) * float(dy[row * channels + c]);
  sum = warp_sum(sum);
  if (lane == 0 && row < dgate.size()) dgate[row] = T(float(dgate[row]) + sum);
}

void scale(Stream& s, Tensor gate, Tensor x, Tensor y, bool pixels, bool add) {
  with_packs({y.shape.c}, {x, y, gate}, [&](auto value, auto length) {
    using T = decltype(value);
    constexpr int N = decltype(length)::value;
    launch<scale_channels_forward_kernel<T, N>>(s, one_thread_each(y.size() / N), gate.view<const T>(),
                                                x.view<const T>(), y.view<T>(), pixels, add);
  });
}

}  // namespace

void scale_channels_forward(Stream& s, Tensor gate, Tensor x, Tensor y, bool pixels) {
  scale(s, gate, x, y, pixels, false);
}

void scale_channels_backward_input(Stream& s, Tensor gate, Tensor dy, Tensor dx, bool pixels) {
  scale(s, gate, dy, dx, pixels, true);
}

void scale_channels_backward_gate(Stream& s, Tensor x, Tensor dy, Tensor dgate, bool pixels) {
  with_packs({x.shape.c}, {x, dy}, [&](auto value, auto length) {
    using T = decltype(value);
    constexpr int N = decltype(length)::value;
    const auto values = x.view<const T>(), gradients = dy.view<const T>();
    if (pixels) {
      constexpr int kThreads = 256;
      launch<scale_channels_backward_pixels_kernel<T>>(
          s, Grid{dim3(unsigned((dgate.size() + kThreads / 32 - 1) / (kThreads / 32))), dim3(kThreads)},
          values, gradients, dgate.view<T>());
      return;
    }
    Grid grid = channel_tiles<N>(x.shape.c, 1, x.shape.n);
    grid.shared_bytes = sizeof(float) * kTileThreads * N;
    launch<scale_channels_backward_gate_kernel<T, N>>(s, grid, values, gradients, dgate.view<T>());
  });
}

}  // namespace osprey::cuda
