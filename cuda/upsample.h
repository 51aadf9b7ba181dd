// The contract of [upsample]. The CPU side is in layers/upsample.cpp, the kernels in cuda/upsample.cu.
#pragma once

#include "core/stream.h"
#include "core/tensor.h"

namespace osprey {

namespace cpu {
// The nearest pixel: y[n,i,j,c] = scale x[n, floor(i h / oh), floor(j w / ow), c] for any two sizes.
void upsample_forward(Stream&, Tensor x, Tensor y, float scale);
// Adds to dx.
void upsample_backward(Stream&, Tensor dy, Tensor dx, float scale);
// The sum of the pixels that upsampling y would make one of: the transpose of upsample_forward.
void downsample_forward(Stream&, View<const float> x, View<float> y, float scale);
// Adds to dx.
void downsample_backward(Stream&, View<const float> dy, View<float> dx, float scale);
// Bilinear, to the size of y; the rule of core/bilinear.h.
void bilinear_forward(Stream&, View<const float> x, View<float> y, float scale, bool align_corners);
// Adds to dx.
void bilinear_backward(Stream&, View<const float> dy, View<float> dx, float scale, bool align_corners);
}  // namespace cpu

namespace cuda {
void upsample_forward(Stream&, Tensor x, Tensor y, float scale);
void upsample_backward(Stream&, Tensor dy, Tensor dx, float scale);
void downsample_forward(Stream&, Tensor x, Tensor y, float scale);
void downsample_backward(Stream&, Tensor dy, Tensor dx, float scale);
void bilinear_forward(Stream&, Tensor x, Tensor y, float scale, bool align_corners);
void bilinear_backward(Stream&, Tensor dy, Tensor dx, float scale, bool align_corners);
}  // namespace cuda

}  // namespace osprey
