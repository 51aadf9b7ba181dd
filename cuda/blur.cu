#include "cuda/blur.h"

#include "cuda/launch.h"
#include "cuda/pack.cuh"

namespace osprey::cuda {
namespace {

// One thread per pack of channels of an output pixel.
template <class T, int N>
__global__ void blur_forward_kernel(View<const T> x, View<T> y, Blur blur) {
  const int i = global_thread() * N;
  if (i >= y.size()) return;
  const auto [n, oh, ow, c] = y.shape.pixel(i);
  const Window &wh = blur.window.h, &ww = blur.window.w;
  Floats<N> sum{};
  for (int p = 0; p < wh.size; ++p)
    for (int q = 0; q < ww.size; ++q) {
      const int h = wh.start(oh) + p, w = ww.start(ow) + q;
      if (h < 0 || h >= x.shape.h || w < 0 || w >= x.shape.w) continue;
      const Floats<N> values = load<N>(x, x.shape.index(n, h, w, c));
      for (int k = 0; k < N; ++k) sum[k] += blur.weight(p, q) * values[k];
    }
  store(y, i, sum);
}

// One thread per pack of channels of an input pixel, which collects from every window over it.
template <class T, int N>
__global__ void blur_backward_kernel(View<const T> dy, View<T> dx, Blur blur) {
  const int i = global_thread() * N;
  if (i >= dx.size()) return;
  const auto [n, h, w, c] = dx.shape.pixel(i);
  const Window &wh = blur.window.h, &ww = blur.window.w;
  const int h0 = wh.first_over(h), h1 = min(wh.last_over(h), dy.shape.h - 1);
  const int w0 = ww.first_over(w), w1 = min(ww.last_over(w), dy.shape.w - 1);
  Floats<N> sum{};
  for (int oh = h0; oh <= h1; ++oh)
    for (int ow = w0; ow <= w1; ++ow) {
      const float weight = blur.weight(h - wh.start(oh), w - ww.start(ow));
      const Floats<N> gradients = load<N>(dy, dy.shape.index(n, oh, ow, c));
      for (int k = 0; k < N; ++k) sum[k] += weight * gradients[k];
    }
  store(dx, i, sum);
}

}  // namespace

void blur_forward(Stream& s, Tensor x, Tensor y, Blur blur) {
  with_packs({y.shape.c}, {x, y}, [&](auto value, auto length) {
    using T = decltype(value);
    constexpr int N = decltype(length)::value;
    launch<blur_forward_kernel<T, N>>(s, one_thread_each(y.size() / N), x.view<const T>(), y.view<T>(), blur);
  });
}

void blur_backward(Stream& s, Tensor dy, Tensor dx, Blur blur) {
  with_packs({dx.shape.c}, {dy, dx}, [&](auto value, auto length) {
    using T = decltype(value);
    constexpr int N = decltype(length)::value;
    launch<blur_backward_kernel<T, N>>(s, one_thread_each(dx.size() / N), dy.view<const T>(), dx.view<T>(),
                                       blur);
  });
}

}  // namespace osprey::cuda
