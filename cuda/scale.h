// The contract of [scale]: y = scale x, with one learned number for all values. The CPU side is in
// layers/scale.cpp, the kernels in cuda/scale.cu.
#pragma once

#include <algorithm>

#include "core/stream.h"
#include "core/tensor.h"

namespace osprey {

// What the kernels sum the gradient of the scale in: a number for each chunk of the values.
inline Shape scale_partial(Shape x) {
  constexpr int kChunk = 8192, kMost = 1024;
  return {1, 1, 1, std::clamp(x.size() / kChunk, 1, kMost)};
}

namespace cpu {
// scale [1,1,1,1]; y may be x.
void scale_forward(Stream&, View<const float> x, View<const float> scale, View<float> y);
// Adds to dscale [1,1,1,1], and to dx where it is not empty. `partial` is of scale_partial(x.shape), on
// Device::cuda only.
void scale_backward(Stream&, View<const float> x, View<const float> scale, View<const float> dy,
                    View<float> dx, View<float> partial, View<float> dscale);
}  // namespace cpu

// x, y, dy and dx are of one type, f32 or bf16.
namespace cuda {
void scale_forward(Stream&, Tensor x, View<const float> scale, Tensor y);
void scale_backward(Stream&, Tensor x, View<const float> scale, Tensor dy, Tensor dx, View<float> partial,
                    View<float> dscale);
}  // namespace cuda

}  // namespace osprey
