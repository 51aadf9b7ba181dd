// The contract of folding batch norm into the weights and biases of a convolution that never trains. The CPU
// side is in layers/fold.cpp, the kernel in cuda/fold.cu. Both compute in double, as AlexeyAB's
// Darknet does.
//
//   w' = w scale / sqrt(variance + epsilon)      b' = bias - mean scale / sqrt(variance + epsilon)
#pragma once

#include "core/stream.h"
#include "core/tensor.h"
#include "cuda/batchnorm.h"

namespace osprey {

// weights {filters, size_h, size_w, inputs}, folded of that shape, biases {1,1,1,filters}. A BatchNorm
// without scale is a bias alone: then these are copies.
namespace cpu {
void fold_batchnorm(Stream&, View<const float> weights, BatchNorm, View<float> folded, View<float> biases);
}
namespace cuda {
void fold_batchnorm(Stream&, View<const float> weights, BatchNorm, Tensor folded, View<float> biases);
}

}  // namespace osprey
