// Convolution for the reader: gather the pixels under each window into rows, then multiply matrices. What
// convolution_cpu.cpp does is tested against this, and --convolution reference runs it.
#include <algorithm>
#include <cstring>

#include "core/parallel.h"
#include "cuda/convolution.h"
#include "layers/simd/gemm.h"

namespace osprey::cpu {
namespace {

// What one image and one group of a convolution look like as matrices.
struct Matrices {
  Convolution c;
  Shape x, y;
  int inputs, outputs;  // channels of a group
  int pixels, taps;     // rows and columns of the patch matrix

  Matrices(Convolution c, Shape x, Shape y)
      : c(c),
        x(x),
        y(y),
        inputs(x.c / c.groups),
        outputs(y.c / c.groups),
        pixels(y.h * y.w),
        taps(c.window.h.size * c.window.w.size * inputs) {}

  // Calls body(h, w, column) for each tap of output pixel (i, j) that lies inside of the image.
  template <class Body>
  void each_tap(int i, int j, Body&& body) const {
    for (int p = 0; p < c.window.h.size; ++p) {
      const int h = c.window.h.start(i) + p * c.window.h.dilation;
      for (int q = 0; q < c.window.w.size; ++q) {
        const int w = c.window.w.start(j) + q * c.window.w.dilation;
        if (h >= 0 && h < x.h && w >= 0 && w < x.w) body(h, w, (p * c.window.w.size + q) * inputs);
      }
    }
  }
};

// patches[i*ow + j, (p, q, ch)] = x[n, h(i,p), w(j,q), group + ch], 0 outside of the image.
void gather_patches(View<const float> x, int n, int group, View<float> patches, const Matrices& m) {
  parallel_for(m.y.h, 1, [&](int64_t first, int64_t last) {
    for (int i = int(first); i < last; ++i)
      for (int j = 0; j < m.y.w; ++j) {
        float* row = patches.data + int64_t(i * m.y.w + j) * m.taps;
        std::fill(row, row + m.taps, 0.0f);
        m.each_tap(i, j, [&](int h, int w, int column) {
          std::memcpy(row + column, x.data + x.shape.index(n, h, w, group * m.inputs),
                      sizeof(float) * m.inputs);
        });
      }
  });
}

// The reverse: adds each patch value to the pixel it came from. Windows overlap, so this runs on one thread.
void scatter_patches(View<const float> patches, int n, int group, View<float> dx, const Matrices& m) {
  for (int i = 0; i < m.y.h; ++i)
    for (int j = 0; j < m.y.w; ++j) {
      const float* row = patches.data + int64_t(i * m.y.w + j) * m.taps;
      m.each_tap(i, j, [&](int h, int w, int column) {
        float* pixel = dx.data + dx.shape.index(n, h, w, group * m.inputs);
        for (int ch = 0; ch < m.inputs; ++ch) pixel[ch] += row[column + ch];
      });
    }
}

const float* of_group(View<const float> weights, int group, const Matrices& m) {
  return weights.data + int64_t(group) * m.outputs * m.taps;
}

}  // namespace

void convolution_forward(Stream&, View<const float> x, View<const float> weights, View<const float> bias,
                         View<float> y, View<float> patches, Convolution c) {
  const Matrices m(c, x.shape, y.shape);
  for (int n = 0; n < x.shape.n; ++n)
    for (int group = 0; group < c.groups; ++group) {
      gather_patches(x, n, group, patches, m);
      gemm(Transpose::no, Transpose::yes, m.pixels, m.outputs, m.taps, patches.data, m.taps,
           of_group(weights, group, m), m.taps, false, y.data + y.shape.index(n, 0, 0, group * m.outputs),
           y.shape.c);
    }
  if (!bias) return;
  for (int row = 0; row < y.shape.rows(); ++row)
    for (int f = 0; f < y.shape.c; ++f) y.data[int64_t(row) * y.shape.c + f] += bias.data[f];
}

void convolution_backward_data(Stream&, View<const float> dy, View<const float> weights, View<float> dx,
                               View<float> patches, Convolution c) {
  const Matrices m(c, dx.shape, dy.shape);
  for (int n = 0; n < dx.shape.n; ++n)
    for (int group = 0; group < c.groups; ++group) {
      gemm(Transpose::no, Transpose::no, m.pixels, m.taps, m.outputs,
           dy.data + dy.shape.index(n, 0, 0, group * m.outputs), dy.shape.c, of_group(weights, group, m),
           m.taps, false, patches.data, m.taps);
      scatter_patches(patches, n, group, dx, m);
    }
}

void convolution_backward_weights(Stream&, View<const float> x, View<const float> dy, View<float> dweights,
                                  View<float> patches, Convolution c) {
  const Matrices m(c, x.shape, dy.shape);
  for (int n = 0; n < x.shape.n; ++n)
    for (int group = 0; group < c.groups; ++group) {
      gather_patches(x, n, group, patches, m);
      gemm(Transpose::yes, Transpose::no, m.outputs, m.taps, m.pixels,
           dy.data + dy.shape.index(n, 0, 0, group * m.outputs), dy.shape.c, patches.data, m.taps, true,
           dweights.data + int64_t(group) * m.outputs * m.taps, m.taps);
    }
}

void bias_backward(Stream&, View<const float> dy, View<float> dbias, View<float>) {
  const int channels = dy.shape.c;
  parallel_for(channels, 16, [&](int64_t first, int64_t last) {
    constexpr int kWide = 64;  // sums of so many channels stay in registers and cache, in double
    for (int64_t start = first; start < last; start += kWide) {
      const int wide = int(std::min<int64_t>(kWide, last - start));
      double sums[kWide] = {};
      for (int row = 0; row < dy.shape.rows(); ++row) {
        const float* values = dy.data + int64_t(row) * channels + start;
        for (int f = 0; f < wide; ++f) sums[f] += values[f];
      }
      for (int f = 0; f < wide; ++f) dbias.data[start + f] += float(sums[f]);
    }
  });
}

}  // namespace osprey::cpu
