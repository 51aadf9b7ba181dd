#include "cuda/upsample.h"

#include "core/bilinear.h"
#include "cuda/launch.h"
#include "cuda/pack.cuh"

namespace osprey::cuda {
namespace {

// The small image's pixel under pixel i of an axis of the large one, and the first pixel of the large one
// over pixel i of the small one: ceil(i large / small).
__device__ inline int source(int i, int small, int large) { return i * small / large; }
__device__ inline int first_over(int i, int small, int large) { return (i * large + small - 1) / small; }

// One thread per pack of channels of a pixel of the large image.
template <class T, int N>
__global__ void upsample_repeat_kernel(View<const T> small, View<T> large, float scale, bool add) {
  const int i = global_thread() * N;
  if (i >= large.size()) return;
  const auto [n, h, w, c] = large.shape.pixel(i);
  const Shape from = small.shape;
  Floats<N> values =
      load<N>(small, from.index(n, source(h, from.h, large.shape.h), source(w, from.w, large.shape.w), c));
  for (int k = 0; k < N; ++k) values[k] *= scale;
  store(large, i, values, add);
}

// One thread per pack of channels of a pixel of the small image, which collects from its block of the large
// one, so that no atomics are needed.
template <class T, int N>
__global__ void upsample_collect_kernel(View<const T> large, View<T> small, float scale, bool add) {
  const int i = global_thread() * N;
  if (i >= small.size()) return;
  const auto [n, h, w, c] = small.shape.pixel(i);
  const Shape to = small.shape, from = large.shape;
  const int h0 = first_over(h, to.h, from.h), h1 = first_over(h + 1, to.h, from.h);
  const int w0 = first_over(w, to.w, from.w), w1 = first_over(w + 1, to.w, from.w);
  Floats<N> sum{};
  if (add) sum = load<N>(small, i);
  for (int row = h0; row < h1; ++row)
    for (int column = w0; column < w1; ++column) {
      const Floats<N> values = load<N>(large, from.index(n, row, column, c));
      for (int k = 0; k < N; ++k) sum[k] += scale * values[k];
    }
  store(small, i, sum);
}

// One thread per pack of channels of a pixel of y.
template <class T, int N>
__global__ void bilinear_forward_kernel(View<const T> x, View<T> y, BilinearAxis rows, BilinearAxis columns,
                                        float scale) {
  const int i = global_thread() * N;
  if (i >= y.size()) return;
  const auto [n, oh, ow, c] = y.shape.pixel(i);
  const BilinearAxis::Tap h = rows.tap(oh), w = columns.tap(ow);
  const Floats<N> low_low = load<N>(x, x.shape.index(n, h.low, w.low, c)),
                  low_high = load<N>(x, x.shape.index(n, h.low, w.high, c)),
                  high_low = load<N>(x, x.shape.index(n, h.high, w.low, c)),
                  high_high = load<N>(x, x.shape.index(n, h.high, w.high, c));
  Floats<N> values;
  for (int k = 0; k < N; ++k) {
    const float low = (1 - w.share) * low_low[k] + w.share * low_high[k];
    const float high = (1 - w.share) * high_low[k] + w.share * high_high[k];
    values[k] = scale * ((1 - h.share) * low + h.share * high);
  }
  store(y, i, values);
}

// One thread per pack of channels of a pixel of dx, which collects from the outputs that read it, so that no
// atomics are needed.
template <class T, int N>
__global__ void bilinear_backward_kernel(View<const T> dy, View<T> dx, BilinearAxis rows,
                                         BilinearAxis columns, float scale) {
  const int i = global_thread() * N;
  if (i >= dx.size()) return;
  const auto [n, h, w, c] = dx.shape.pixel(i);
  const int h0 = rows.first_reader(h), h1 = rows.end_of_readers(h);
  const int w0 = columns.first_reader(w), w1 = columns.end_of_readers(w);
  Floats<N> sum = load<N>(dx, i);
  for (int oh = h0; oh < h1; ++oh) {
    const float share = scale * rows.tap(oh).weight_of(h);
    if (share == 0) continue;
    for (int ow = w0; ow < w1; ++ow) {
      const float weight = share * columns.tap(ow).weight_of(w);
      if (weight == 0) continue;
      const Floats<N> values = load<N>(dy, dy.shape.index(n, oh, ow, c));
      for (int k = 0; k < N; ++k) sum[k] += weight * values[k];
    }
  }
  store(dx, i, sum);
}

void repeat(Stream& s, Tensor small, Tensor large, float scale, bool add) {
  with_packs({large.shape.c}, {small, large}, [&](auto value, auto length) {
    using T = decltype(value);
    constexpr int N = decltype(length)::value;
    launch<upsample_repeat_kernel<T, N>>(s, one_thread_each(large.size() / N), small.view<const T>(),
                                         large.view<T>(), scale, add);
  });
}

void collect(Stream& s, Tensor large, Tensor small, float scale, bool add) {
  with_packs({small.shape.c}, {large, small}, [&](auto value, auto length) {
    using T = decltype(value);
    constexpr int N = decltype(length)::value;
    launch<upsample_collect_kernel<T, N>>(s, one_thread_each(small.size() / N), large.view<const T>(),
                                          small.view<T>(), scale, add);
  });
}

}  // namespace

void upsample_forward(Stream& s, Tensor x, Tensor y, float scale) { repeat(s, x, y, scale, false); }
void upsample_backward(Stream& s, Tensor dy, Tensor dx, float scale) { collect(s, dy, dx, scale, true); }
void downsample_forward(Stream& s, Tensor x, Tensor y, float scale) { collect(s, x, y, scale, false); }
void downsample_backward(Stream& s, Tensor dy, Tensor dx, float scale) { repeat(s, dy, dx, scale, true); }

void bilinear_forward(Stream& s, Tensor x, Tensor y, float scale, bool align_corners) {
  const BilinearAxis rows(x.shape.h, y.shape.h, align_corners), columns(x.shape.w, y.shape.w, align_corners);
  with_packs({x.shape.c}, {x, y}, [&](auto value, auto length) {
    using T = decltype(value);
    constexpr int N = decltype(length)::value;
    launch<bilinear_forward_kernel<T, N>>(s, one_thread_each(y.size() / N), x.view<const T>(), y.view<T>(),
                                          rows, columns, scale);
  });
}

void bilinear_backward(Stream& s, Tensor dy, Tensor dx, float scale, bool align_corners) {
  const BilinearAxis rows(dx.shape.h, dy.shape.h, align_corners),
      columns(dx.shape.w, dy.shape.w, align_corners);
  with_packs({dx.shape.c}, {dy, dx}, [&](auto value, auto length) {
    using T = decltype(value);
    constexpr int N = decltype(length)::value;
    launch<bilinear_backward_kernel<T, N>>(s, one_thread_each(dx.size() / N), dy.view<const T>(),
                                           dx.view<T>(), rows, columns, scale);
  });
}

}  // namespace osprey::cuda
