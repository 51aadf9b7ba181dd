#include "cuda/convolution.h"

#include "cuda/block.cuh"
#include "cuda/gemm.h"
#include "cuda/launch.h"

namespace osprey::cuda {
namespace {

// One thread per patch value, [1, OH, OW, size_h * size_w * inputs]: the pixel of image n under tap (p, q) of
// output (i, j), in the channels from `first` on; 0 outside of the image.
__global__ void gather_patches_kernel(View<const float> x, int n, int first, int inputs, View<float> patches,
                                      Window2 window) {
  const int thread = global_thread();
  if (thread >= patches.size()) return;
  const auto [zero, i, j, tap] = patches.shape.pixel(thread);
  const int ch = tap % inputs, q = tap / inputs % window.w.size, p = tap / inputs / window.w.size;
  const int h = window.h.start(i) + p * window.h.dilation, w = window.w.start(j) + q * window.w.dilation;
  const bool inside = h >= 0 && h < x.shape.h && w >= 0 && w < x.shape.w;
  patches[thread] = inside ? x(n, h, w, first + ch) : 0.0f;
}

// The output whose tap t lies on an input, or -1 if that tap of no output does.
__device__ inline int output_over(const Window& window, int input, int t, int outputs) {
  const int distance = input + window.before - t * window.dilation;
  const int output = distance / window.stride;
  return distance >= 0 && distance % window.stride == 0 && output < outputs ? output : -1;
}

// The reverse: one thread per value of the group's channels of image n, {1, H, W, inputs}, which collects
// from every patch it went to. Scattering from the patches would need atomics.
__global__ void collect_patches_kernel(View<const float> patches, int n, int first, int inputs,
                                       View<float> dx, Window2 window) {
  const int thread = global_thread();
  const Shape image = {1, dx.shape.h, dx.shape.w, inputs};
  if (thread >= image.size()) return;
  const auto [zero, h, w, ch] = image.pixel(thread);
  float sum = 0;
  for (int p = 0; p < window.h.size; ++p) {
    const int i = output_over(window.h, h, p, patches.shape.h);
    if (i < 0) continue;
    for (int q = 0; q < window.w.size; ++q) {
      const int j = output_over(window.w, w, q, patches.shape.w);
      if (j >= 0) sum += patches(0, i, j, (p * window.w.size + q) * inputs + ch);
    }
  }
  dx(n, h, w, first + ch) += sum;
}

// One block per tile of channels, a thread for every sixteenth pixel of one channel.
__global__ void bias_backward_kernel(View<const float> dy, View<float> dbias) {
  const int c = tile_channel(), channels = dy.shape.c;
  const int mine = c < channels ? dy.shape.rows() : 0;  // the rest only keep the barriers company
  double sum = 0;
  for (int row = threadIdx.y; row < mine; row += kTileRows) sum += dy[row * channels + c];
  sum = tile_sum(sum);
  if (threadIdx.y == 0 && c < channels) dbias[c] += float(sum);
}

bool one_pixel(const Window& w) { return w.size == 1 && w.stride == 1 && w.padding == 0; }

// One image and one group of a convolution as matrices of views: patches [pixels, taps], outputs
// [pixels, filters], weights [filters, taps].
struct Matrices {
  Convolution c;
  Shape x;
  int inputs, filters;  // channels of a group
  int pixels, taps;
  bool direct;  // the patches are the pixels themselves: a 1x1 convolution needs no copy

  Matrices(Convolution c, Shape x, Shape y)
      : c(c),
        x(x),
        inputs(x.c / c.groups),
        filters(y.c / c.groups),
        pixels(y.h * y.w),
        taps(c.window.h.size * c.window.w.size * inputs),
        direct(one_pixel(c.window.h) && one_pixel(c.window.w)) {}

  template <class T>
  Matrix<T> input(View<T> v, int n, int group) const {
    return {v, v.shape.index(n, 0, 0, group * inputs), pixels, inputs, v.shape.c};
  }
  template <class T>
  Matrix<T> output(View<T> v, int n, int group) const {
    return {v, v.shape.index(n, 0, 0, group * filters), pixels, filters, v.shape.c};
  }
  template <class T>
  Matrix<T> weights(View<T> v, int group) const {
    return {v, group * filters * taps, filters, taps, taps};
  }
  Matrix<float> scratch(View<float> patches) const { return {patches, 0, pixels, taps, taps}; }

  Matrix<const float> gather(Stream& s, View<const float> x, int n, int group, View<float> patches) const {
    if (direct) return input(x, n, group);
    launch<gather_patches_kernel>(s, one_thread_each(patches.size()), x, n, group * inputs, inputs, patches,
                                  c.window);
    return {View<const float>(patches), 0, pixels, taps, taps};
  }
};

// Calls body(n, group) for each image and group.
template <class Body>
void each_product(Shape x, const Convolution& c, Body&& body) {
  for (int n = 0; n < x.n; ++n)
    for (int group = 0; group < c.groups; ++group) body(n, group);
}

View<const float> slice(View<const float> bias, int first, int count) {
  if (!bias) return {};
  return {&bias[first], {1, 1, 1, count}};
}

}  // namespace

void convolution_forward(Stream& s, View<const float> x, View<const float> weights, View<const float> bias,
                         View<float> y, View<float> patches, Convolution c) {
  const Matrices m(c, x.shape, y.shape);
  each_product(x.shape, c, [&](int n, int group) {
    const Matrix<const float> rows = m.gather(s, x, n, group, patches);
    gemm(s, rows, m.weights(weights, group).transposed(), m.output(y, n, group), false,
         slice(bias, group * m.filters, m.filters));
  });
}

void convolution_backward_data(Stream& s, View<const float> dy, View<const float> weights, View<float> dx,
                               View<float> patches, Convolution c) {
  const Matrices m(c, dx.shape, dy.shape);
  const Grid grid = one_thread_each(dx.shape.h * dx.shape.w * m.inputs);
  each_product(dx.shape, c, [&](int n, int group) {
    const Matrix<const float> gradients = m.output(dy, n, group), w = m.weights(weights, group);
    if (m.direct) return gemm(s, gradients, w, m.input(dx, n, group), true);
    gemm(s, gradients, w, m.scratch(patches), false);
    launch<collect_patches_kernel>(s, grid, View<const float>(patches), n, group * m.inputs, m.inputs, dx,
                                   c.window);
  });
}

void convolution_backward_weights(Stream& s, View<const float> x, View<const float> dy, View<float> dweights,
                                  View<float> patches, Convolution c) {
  const Matrices m(c, x.shape, dy.shape);
  each_product(x.shape, c, [&](int n, int group) {
    const Matrix<const float> rows = m.gather(s, x, n, group, patches);
    gemm(s, m.output(dy, n, group).transposed(), rows, m.weights(dweights, group), true);
  });
}

void bias_backward(Stream& s, View<const float> dy, View<float> dbias) {
  launch<bias_backward_kernel>(s, one_block_per_channel_tile(dy.shape.c), dy, dbias);
}

}  // namespace osprey::cuda
