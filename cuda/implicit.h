// The contract of [implicit]. The CPU side is in layers/implicit.cpp, the kernel in cuda/implicit.cu. The
// gradient of the weights is that of a bias of every value (cuda/convolution.h).
#pragma once

#include "core/stream.h"
#include "core/tensor.h"

namespace osprey {

namespace cpu {
void implicit_forward(Stream&, View<const float> weights, View<float> y);  // every image gets the weights
}  // namespace cpu

namespace cuda {
void implicit_forward(Stream&, View<const float> weights, Tensor y);
}  // namespace cuda

}  // namespace osprey
