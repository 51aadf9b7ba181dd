// Which outputs a convolution makes along one axis, and the taps that reach them: in the forward pass and in
// the gradient of the input alike.
#pragma once

#include <cstdint>
#include <vector>

#include "core/tensor.h"
#include "cuda/convolution.h"

namespace osprey::simd {

// Output start + step * j sees the inputs scale * j + offset of its taps, j running over count.
struct LatticeAxis {
  struct Tap {
    int index, offset;  // in the window; and from scale * j
  };
  int count = 0, start = 0, step = 1, scale = 1;
  std::vector<Tap> taps;  // but for those that never meet the image
};

LatticeAxis forward_axis(const Window&, int inputs, int outputs);
// The gradient of the input: for each phase of the stride other taps, in the order of `start`. Phases that no
// tap reaches are left out.
std::vector<LatticeAxis> backward_axes(const Window&, int inputs, int outputs);

// The weight of input channel i and output channel o of group g, for tap (r, s) of the window, is
//   weights[g * group + i * in + o * out + r * row + s * column]
struct WeightOrder {
  int64_t group, in, out, row, column;

  static WeightOrder forward(Shape x, Shape y, const Convolution&);
  static WeightOrder backward(Shape x, Shape y, const Convolution&);
};

}  // namespace osprey::simd
