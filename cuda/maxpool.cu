#include "cuda/maxpool.h"

#include "cuda/launch.h"

namespace osprey::cuda {
namespace {

// One thread per output. Neighbouring threads hold neighbouring channels, so that a warp reads x in whole
// cache lines.
__global__ void maxpool_forward_kernel(View<const float> x, View<float> y, View<int> winner, Window2 window) {
  const int i = global_thread();
  if (i >= y.size()) return;
  const auto [n, oh, ow, c] = y.shape.pixel(i);
  const int h0 = max(window.h.start(oh), 0), h1 = min(window.h.start(oh) + window.h.size, x.shape.h);
  const int w0 = max(window.w.start(ow), 0), w1 = min(window.w.start(ow) + window.w.size, x.shape.w);
  int best = x.shape.index(n, h0, w0, c);
  float largest = x[best];
  for (int h = h0; h < h1; ++h)
    for (int w = w0; w < w1; ++w) {
      const float value = x(n, h, w, c);
      if (value > largest) {
        largest = value;
        best = x.shape.index(n, h, w, c);
      }
    }
  y[i] = largest;
  if (winner) winner[i] = best;
}

// One thread per input, which collects from every window over it. Scattering from the outputs would need
// atomics, and their order, hence the last bits of the sum, would change from run to run.
__global__ void maxpool_backward_kernel(View<const float> dy, View<const int> winner, View<float> dx,
                                        Window2 window) {
  const int i = global_thread();
  if (i >= dx.size()) return;
  const auto [n, h, w, c] = dx.shape.pixel(i);
  const int h0 = window.h.first_over(h), h1 = min(window.h.last_over(h), dy.shape.h - 1);
  const int w0 = window.w.first_over(w), w1 = min(window.w.last_over(w), dy.shape.w - 1);
  float sum = dx[i];
  for (int oh = h0; oh <= h1; ++oh)
    for (int ow = w0; ow <= w1; ++ow)
      if (winner(n, oh, ow, c) == i) sum += dy(n, oh, ow, c);
  dx[i] = sum;
}

}  // namespace

void maxpool_forward(Stream& s, View<const float> x, View<float> y, View<int> winner, Window2 window) {
  launch<maxpool_forward_kernel>(s, one_thread_each(y.size()), x, y, winner, window);
}

void maxpool_backward(Stream& s, View<const float> dy, View<const int> winner, View<float> dx,
                      Window2 window) {
  launch<maxpool_backward_kernel>(s, one_thread_each(dx.size()), dy, winner, dx, window);
}

}  // namespace osprey::cuda
