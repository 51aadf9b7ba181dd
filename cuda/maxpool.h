// The contract of [maxpool]. The CPU side is in layers/maxpool.cpp, the kernels in cuda/maxpool.cu.
#pragma once

#include "core/stream.h"
#include "core/tensor.h"
#include "core/window.h"

namespace osprey {

inline Shape pooled_shape(Shape x, const Window2& w) {
  return {x.n, w.h.outputs(x.h), w.w.outputs(x.w), x.c};
}

namespace cpu {
// `winner` receives, for each output, the index in x of its maximum; empty when not training. Padding never
// wins, and of equal values the first in reading order does. The output's size is y's.
void maxpool_forward(Stream&, Tensor x, Tensor y, View<int> winner, Window2);
// Adds to dx.
void maxpool_backward(Stream&, Tensor dy, View<const int> winner, Tensor dx, Window2);
// The same to a dx that holds nothing yet.
void maxpool_backward_overwrite(Stream&, Tensor dy, View<const int> winner, Tensor dx, Window2);
// Of each pixel, for channel g of y: the maximum of the channels g, g + y.shape.c, ... of x.
void maxpool_depth_forward(Stream&, View<const float> x, View<float> y, View<int> winner);
void maxpool_depth_backward(Stream&, View<const float> dy, View<const int> winner, View<float> dx);  // adds
}  // namespace cpu

namespace cuda {
void maxpool_forward(Stream&, Tensor x, Tensor y, View<int> winner, Window2);
void maxpool_backward(Stream&, Tensor dy, View<const int> winner, Tensor dx, Window2);
void maxpool_backward_overwrite(Stream&, Tensor dy, View<const int> winner, Tensor dx, Window2);
void maxpool_depth_forward(Stream&, Tensor x, Tensor y, View<int> winner);
void maxpool_depth_backward(Stream&, Tensor dy, View<const int> winner, Tensor dx);
}  // namespace cuda

}  // namespace osprey
