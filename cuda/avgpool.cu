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

// One thread per pack of channels of an output pixel. y need not be of the type of x, so it has no packs.
template <class X, class Y, int N>
__global__ void avgpool_windows_forward_kernel(View<const X> x, View<Y> y, Averaging a) {
  const int i = global_thread() * N;
  if (i >= y.size()) return;
  const auto [n, oh, ow, c] = y.shape.pixel(i);
  const Window &wh = a.window.h, &ww = a.window.w;
  const int h0 = max(wh.start(oh), 0), h1 = min(wh.start(oh) + wh.size, x.shape.h);
  const int w0 = max(ww.start(ow), 0), w1 = min(ww.start(ow) + ww.size, x.shape.w);
  Floats<N> sum{};
  for (int h = h0; h < h1; ++h)
    for (int w = w0; w < w1; ++w) {
      const Floats<N> values = load<N>(x, x.shape.index(n, h, w, c));
      for (int k = 0; k < N; ++k) sum[k] += values[k];
    }
  const float divisor = a.divisor(oh, ow, x.shape);
  for (int k = 0; k < N; ++k) y[i + k] = Y(sum[k] / divisor);
}

// One thread per pack of dx, which collects from every window over it.
template <class X, class Y, int N>
__global__ void avgpool_windows_backward_kernel(View<const Y> dy, View<X> dx, Averaging a) {
  const int i = global_thread() * N;
  if (i >= dx.size()) return;
  const auto [n, h, w, c] = dx.shape.pixel(i);
  const int h0 = a.window.h.first_over(h), h1 = min(a.window.h.last_over(h), dy.shape.h - 1);
  const int w0 = a.window.w.first_over(w), w1 = min(a.window.w.last_over(w), dy.shape.w - 1);
  Floats<N> sum{};
  for (int oh = h0; oh <= h1; ++oh)
    for (int ow = w0; ow <= w1; ++ow) {
      const float divisor = a.divisor(oh, ow, dx.shape);
      const Floats<N> gradients = load<N>(dy, dy.shape.index(n, oh, ow, c));
      for (int k = 0; k < N; ++k) sum[k] += gradients[k] / divisor;
    }
  store(dx, i, sum, true);
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

void avgpool_windows_forward(Stream& s, Tensor x, Tensor y, Averaging a) {
  with_types(x.type, y.type, [&](auto in, auto out) {
    using X = decltype(in);
    using Y = decltype(out);
    with_pack<X>({x.shape.c}, {x}, [&](auto length) {
      constexpr int N = decltype(length)::value;
      launch<avgpool_windows_forward_kernel<X, Y, N>>(s, one_thread_each(y.size() / N), x.view<const X>(),
                                                      y.view<Y>(), a);
    });
  });
}

void avgpool_windows_backward(Stream& s, Tensor dy, Tensor dx, Averaging a) {
  with_types(dx.type, dy.type, [&](auto in, auto out) {
    using X = decltype(in);
    using Y = decltype(out);
    with_pack<X>({dx.shape.c}, {dy, dx}, [&](auto length) {
      constexpr int N = decltype(length)::value;
      launch<avgpool_windows_backward_kernel<X, Y, N>>(s, one_thread_each(dx.size() / N), dy.view<const Y>(),
                                                       dx.view<X>(), a);
    });
  });
}

}  // namespace osprey::cuda
