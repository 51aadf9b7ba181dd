#include "cuda/upsample.h"

#include "cuda/launch.h"

namespace osprey::cuda {
namespace {

// The input under output i of an axis, and the first output over input i: ceil(i outputs / inputs).
__device__ inline int source(int i, int inputs, int outputs) { return i * inputs / outputs; }
__device__ inline int first_output(int i, int inputs, int outputs) {
  return (i * outputs + inputs - 1) / inputs;
}

// One thread per output.
__global__ void upsample_forward_kernel(View<const float> x, View<float> y, float scale) {
  const int i = global_thread();
  if (i >= y.size()) return;
  const auto [n, oh, ow, c] = y.shape.pixel(i);
  y[i] = scale * x(n, source(oh, x.shape.h, y.shape.h), source(ow, x.shape.w, y.shape.w), c);
}

// One thread per input, which collects from its outputs, so that no atomics are needed.
__global__ void upsample_backward_kernel(View<const float> dy, View<float> dx, float scale) {
  const int i = global_thread();
  if (i >= dx.size()) return;
  const auto [n, h, w, c] = dx.shape.pixel(i);
  const int w0 = first_output(w, dx.shape.w, dy.shape.w), w1 = first_output(w + 1, dx.shape.w, dy.shape.w);
  const int h0 = first_output(h, dx.shape.h, dy.shape.h), h1 = first_output(h + 1, dx.shape.h, dy.shape.h);
  float sum = dx[i];
  for (int oh = h0; oh < h1; ++oh)
    for (int ow = w0; ow < w1; ++ow) sum += scale * dy(n, oh, ow, c);
  dx[i] = sum;
}

}  // namespace

void upsample_forward(Stream& s, View<const float> x, View<float> y, float scale) {
  launch<upsample_forward_kernel>(s, one_thread_each(y.size()), x, y, scale);
}

void upsample_backward(Stream& s, View<const float> dy, View<float> dx, float scale) {
  launch<upsample_backward_kernel>(s, one_thread_each(dx.size()), dy, dx, scale);
}

}  // namespace osprey::cuda
