// Sums over windows as products of packed weights with pixels that are read where they lie: no matrix of
// patches is made. One form serves the forward pass of a convolution and the gradient of its input.
#pragma once

#include <cstdint>
#include <vector>

#include "core/tensor.h"
#include "core/window.h"
#include "cuda/convolution.h"
#include "layers/simd/epilogue.h"

namespace osprey::simd {

// out(n, start + step * j, :) = sum over taps of in(n, scale * j + tap, :) * weights(tap), in both axes, j
// running over count; outside of the image `in` is 0.
struct Lattice {
  struct Axis {
    int count = 0, start = 0, step = 1, scale = 1;
  };
  struct Tap {
    int h, w;
    int64_t weights;  // where those of the tap begin in the unpacked ones
  };
  Axis h, w;
  std::vector<Tap> taps;
};

class WindowProduct {
 public:
  // Weight of (group g, input channel i, output channel o, tap t) of the unpacked ones:
  //   weights[g * group_stride + i * in_stride + o * out_stride + t.weights]
  struct Order {
    int64_t group_stride, in_stride, out_stride;
  };
  // `rounds`: both factors are rounded to bf16, which has_bf16_products() must allow; channels of a group are
  // even in number then.
  WindowProduct(Shape in, Shape out, int groups, Lattice, Order, bool rounds);

  // y = x * weights, for weights {filters, h, w, c / groups}.
  static WindowProduct forward(Shape x, Shape y, const Convolution&, bool rounds = false);
  // dx from dy: for each phase of the stride the taps are others, and each makes its own pixels of dx. Where the
  // stride is larger than the window, no tap reaches some pixels, and nothing here makes them.
  static std::vector<WindowProduct> backward_data(Shape x, Shape y, const Convolution&, bool rounds = false);

  int64_t packed_size() const;  // in floats
  void pack(const float* weights, float* packed) const;
  void run(const float* in, const float* packed, const Epilogue&, float* out) const;

  // For the loops of window_product.cpp, which are compiled for several kinds of processor.
  Shape in_, out_;
  int groups_, in_channels_, out_channels_;  // of a group
  Lattice lattice_;
  Order order_;
  bool rounds_;
  // Where neighbours of a window lie side by side in memory, and their channels are few, a row of the window
  // is one run; otherwise each tap is.
  int runs_ = 0, taps_in_run_ = 1;
  std::vector<int64_t> offsets_;  // of each run from the pixel that its window belongs to
  struct {
    int top, bottom;  // rows of `in`,
    int left, right;  // and columns of the lattice: windows between them do not reach over an edge
  } inside_;
  int panel_ = 0;  // filters that are packed side by side
  int lanes_ = 0;
  std::vector<float> zeros_;  // what lies outside of the image

 private:
  template <class T>
  void pack_as(const float* weights, T* packed) const;
};

}  // namespace osprey::simd
