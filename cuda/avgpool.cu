#include "cuda/avgpool.h"

#include "cuda/channel_tiles.cuh"
#include "cuda/launch.h"
#include "cuda/pack.cuh"

namespace osprey::cuda {
namespace {

// One block per tile of channels and image.
template <class X, class Y, int N>
__global__ void avgpool_forward_kernel(View<const X> x, View<Y> y) {
  const int c = tile_pack<N>(), channels = x.shape.c, pixels = x.shape.h * x.shape.w;
  const int first = int(blockIdx.z) * pixels;
  float sums[N] = {};
  if (c < channels)
    for (int pixel = threadIdx.y; pixel < pixels; pixel += blockDim.y) {
      const Floats<N> values = load<N>(x, (first + pixel) * channels + c);
      for (int k = 0; k < N; ++k) sums[k] += values[k];
    }
  reduce_columns(sums, dynamic_shared<float>());
  if (threadIdx.y != 0 || c >= channels) return;
  for (int k = 0; k < N; ++k) y(int(blockIdx.z), 0, 0, c + k) = Y(sums[k] / float(pixels));
}

// One thread per pack of dx.
template <class X, class Y, int N>
__global__ void avgpool_backward_kernel(View<const Y> dy, View<X> dx) {
  const int i = global_thread() * N;
  if (i >= dx.size()) return;
  const int channels = dx.shape.c, pixels = dx.shape.h * dx.shape.w;
  const Floats<N> gradients = load<N>(dy, i / channels / pixels * channels + i % channels);
  Floats<N> shares;
  for (int k = 0; k < N; ++k) shares[k] = gradients[k] / float(pixels);
  store(dx, i, shares, true);
}

}  // namespace

void avgpool_forward(Stream& s, Tensor x, Tensor y) {
  with_types(x.type, y.type, [&](auto in, auto out) {
    using X = decltype(in);
    using Y = decltype(out);
    with_pack<X>({x.shape.c}, {x}, [&](auto length) {
      constexpr int N = decltype(length)::value;
      Grid grid = channel_tiles<N>(x.shape.c, 1, x.shape.n);
      grid.shared_bytes = sizeof(float) * kTileThreads * N;
      launch<avgpool_forward_kernel<X, Y, N>>(s, grid, x.view<const X>(), y.view<Y>());
    });
  });
}

void avgpool_backward(Stream& s, Tensor dy, Tensor dx) {
  with_types(dx.type, dy.type, [&](auto in, auto out) {
    using X = decltype(in);
    using Y = decltype(out);
    with_pack<X>({dx.shape.c}, {dy, dx}, [&](auto length) {
      constexpr int N = decltype(length)::value;
      launch<avgpool_backward_kernel<X, Y, N>>(s, one_thread_each(dx.size() / N), dy.view<const Y>(),
                                               dx.view<X>());
    });
  });
}

}  // namespace osprey::cuda
