// The contract of [local]. The CPU side is in layers/local.cpp, the kernels in cuda/local.cu.
//
//   y[n,i,j,f] = sum over (p,q,c) of w[(i W + j) F + f, p,q,c] x[n, i*stride - before + p, ..., c]
//
// A convolution with filters of its own at each of the H x W places of the output. Outside of the image x is
// 0. The gradient of the biases is that of a bias of every value (cuda/convolution.h).
#pragma once

#include "core/stream.h"
#include "core/tensor.h"
#include "core/window.h"

namespace osprey {

namespace cpu {
// weights {H W F, size, size, c}, biases {1, H, W, F}. `patches` {1, 1, n, size * size * c}: what the images
// have under the window of one place.
void local_forward(Stream&, View<const float> x, View<const float> weights, View<const float> biases,
                   View<float> y, View<float> patches, Window2);
// These add to what they compute.
void local_backward_weights(Stream&, View<const float> x, View<const float> dy, View<float> dweights,
                            View<float> patches, Window2);
void local_backward_input(Stream&, View<const float> dy, View<const float> weights, View<float> dx,
                          View<float> patches, Window2);
}  // namespace cpu

// Types: x and dx of one, y and dy of the same or of float. `patches` is not used: nothing is gathered in
// memory.
namespace cuda {
void local_forward(Stream&, Tensor x, View<const float> weights, View<const float> biases, Tensor y,
                   View<float> patches, Window2);
void local_backward_weights(Stream&, Tensor x, Tensor dy, View<float> dweights, View<float> patches, Window2);
void local_backward_input(Stream&, Tensor dy, View<const float> weights, Tensor dx, View<float> patches,
                          Window2);
}  // namespace cuda

}  // namespace osprey
