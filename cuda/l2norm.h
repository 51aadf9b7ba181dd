// The contract of [l2norm]. The CPU side is in layers/l2norm.cpp, the kernels in cuda/l2norm.cu.
#pragma once

#include "core/stream.h"
#include "core/tensor.h"
#include "cuda/row_chunks.h"

namespace osprey {

struct L2Norm {
  View<const float> scale;  // [1,1,1,C], or empty for 1
  View<float> norms;        // [N,H,W,1], of each pixel; empty where nothing is trained
  float epsilon = 1e-10f;
};

// What the kernels sum the gradient of the scale in.
inline Shape l2norm_partial(Shape x) { return {1, 1, row_chunks(x.rows(), x.c), x.c}; }

namespace cpu {
void l2norm_forward(Stream&, View<const float> x, L2Norm, View<float> y);
void l2norm_backward_input(Stream&, View<const float> x, L2Norm, View<const float> dy,
                           View<float> dx);  // adds
// Adds to dscale [1,1,1,C]; `partial` is of l2norm_partial(x.shape), on Device::cuda only.
void l2norm_backward_scale(Stream&, View<const float> x, L2Norm, View<const float> dy, View<float> partial,
                           View<float> dscale);
}  // namespace cpu

namespace cuda {
void l2norm_forward(Stream&, Tensor x, L2Norm, Tensor y);
void l2norm_backward_input(Stream&, Tensor x, L2Norm, Tensor dy, Tensor dx);
void l2norm_backward_scale(Stream&, Tensor x, L2Norm, Tensor dy, View<float> partial, View<float> dscale);
}  // namespace cuda

}  // namespace osprey
