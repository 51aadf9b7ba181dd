#include "cuda/maxpool.h"

#include "cuda/launch.h"
#include "cuda/pack.cuh"
#include "cuda/runtime.h"

namespace osprey::cuda {
namespace {

template <int N>
__device__ Pack<int, N> load_winners(View<const int> winner, int i) {
  (void)winner[i + N - 1];
  return *reinterpret_cast<const Pack<int, N>*>(&winner[i]);
}
template <int N>
__device__ void store_winners(View<int> winner, int i, const Pack<int, N>& values) {
  (void)winner[i + N - 1];
  *reinterpret_cast<Pack<int, N>*>(&winner[i]) = values;
}

// One thread per pack of channels of an output pixel. Neighbouring threads hold neighbouring channels, so
// that a warp reads x in whole cache lines.
template <class T, int N>
__global__ void maxpool_forward_kernel(View<const T> x, View<T> y, View<int> winner, Window2 window) {
  const int i = global_thread() * N;
  if (i >= y.size()) return;
  const auto [n, oh, ow, c] = y.shape.pixel(i);
  const int h0 = max(window.h.start(oh), 0), h1 = min(window.h.start(oh) + window.h.size, x.shape.h);
  const int w0 = max(window.w.start(ow), 0), w1 = min(window.w.start(ow) + window.w.size, x.shape.w);
  const int first = x.shape.index(n, h0, w0, c);
  Floats<N> largest = load<N>(x, first);
  Pack<int, N> best;
  for (int k = 0; k < N; ++k) best[k] = first + k;
  for (int h = h0; h < h1; ++h)
    for (int w = w0; w < w1; ++w) {
      const int at = x.shape.index(n, h, w, c);
      const Floats<N> values = load<N>(x, at);
      for (int k = 0; k < N; ++k) {
        if (!(values[k] > largest[k])) continue;
        largest[k] = values[k];
        best[k] = at + k;
      }
    }
  store(y, i, largest);
  if (winner) store_winners(winner, i, best);
}

// One thread per pack of channels of an input pixel, which collects from every window over it. Scattering
// from the outputs would need atomics, and their order, hence the last bits of the sum, would change from run
// to run.
template <class T, int N>
__global__ void maxpool_backward_kernel(View<const T> dy, View<const int> winner, View<T> dx,
                                        Window2 window) {
  const int i = global_thread() * N;
  if (i >= dx.size()) return;
  const auto [n, h, w, c] = dx.shape.pixel(i);
  const int h0 = window.h.first_over(h), h1 = min(window.h.last_over(h), dy.shape.h - 1);
  const int w0 = window.w.first_over(w), w1 = min(window.w.last_over(w), dy.shape.w - 1);
  Floats<N> sum = load<N>(dx, i);
  for (int oh = h0; oh <= h1; ++oh)
    for (int ow = w0; ow <= w1; ++ow) {
      const int from = dy.shape.index(n, oh, ow, c);
      const Pack<int, N> winners = load_winners<N>(winner, from);
      const Floats<N> gradients = load<N>(dy, from);
      for (int k = 0; k < N; ++k)
        if (winners[k] == i + k) sum[k] += gradients[k];
    }
  store(dx, i, sum);
}

// One thread per output.
template <class T>
__global__ void maxpool_depth_forward_kernel(View<const T> x, View<T> y, View<int> winner) {
  const int i = global_thread();
  if (i >= y.size()) return;
  const int pixel = i / y.shape.c, end = (pixel + 1) * x.shape.c;
  int best = pixel * x.shape.c + i % y.shape.c;
  float largest = float(x[best]);
  for (int at = best; at < end; at += y.shape.c)
    if (float(x[at]) > largest) {
      largest = float(x[at]);
      best = at;
    }
  y[i] = T(largest);
  if (winner) winner[i] = best;
}

// One thread per output. No channel of x is seen by two, so no two threads write one value.
template <class T>
__global__ void maxpool_depth_backward_kernel(View<const T> dy, View<const int> winner, View<T> dx) {
  const int i = global_thread();
  if (i >= dy.size()) return;
  T& to = dx[winner[i]];
  to = T(float(to) + float(dy[i]));
}

}  // namespace

void maxpool_forward(Stream& s, Tensor x, Tensor y, View<int> winner, Window2 window) {
  with_type(x.type, [&](auto value) {
    using T = decltype(value);
    with_pack<T>({y.shape.c}, {x, y, winner}, [&](auto length) {
      constexpr int N = decltype(length)::value;
      launch<maxpool_forward_kernel<T, N>>(s, one_thread_each(y.size() / N), x.view<const T>(), y.view<T>(),
                                           winner, window);
    });
  });
}

void maxpool_backward(Stream& s, Tensor dy, View<const int> winner, Tensor dx, Window2 window) {
  with_type(dx.type, [&](auto value) {
    using T = decltype(value);
    with_pack<T>({dx.shape.c}, {dy, dx, winner}, [&](auto length) {
      constexpr int N = decltype(length)::value;
      launch<maxpool_backward_kernel<T, N>>(s, one_thread_each(dx.size() / N), dy.view<const T>(), winner,
                                            dx.view<T>(), window);
    });
  });
}

void maxpool_backward_overwrite(Stream& s, Tensor dy, View<const int> winner, Tensor dx, Window2 window) {
  fill_zero(s, dx.data, dx.bytes());
  maxpool_backward(s, dy, winner, dx, window);
}

void maxpool_depth_forward(Stream& s, Tensor x, Tensor y, View<int> winner) {
  with_type(x.type, [&](auto value) {
    using T = decltype(value);
    launch<maxpool_depth_forward_kernel<T>>(s, one_thread_each(y.size()), x.view<const T>(), y.view<T>(),
                                            winner);
  });
}

void maxpool_depth_backward(Stream& s, Tensor dy, View<const int> winner, Tensor dx) {
  with_type(dx.type, [&](auto value) {
    using T = decltype(value);
    launch<maxpool_depth_backward_kernel<T>>(s, one_thread_each(dy.size()), dy.view<const T>(), winner,
                                             dx.view<T>());
  });
}

}  // namespace osprey::cuda
