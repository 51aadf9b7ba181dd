// The contract of [activation], and of every layer that ends in one. The CPU side is in
// layers/activation.cpp, the kernels in cuda/activation.cu.
#pragma once

#include "core/activations.h"
#include "core/stream.h"
#include "core/tensor.h"

namespace osprey {

// Types: all of one; on a GPU also x of bf16 and the others of float.
namespace cpu {
void activation_forward(Stream&, Tensor x, Tensor y, Activation);  // y may be x
// x is the input of forward. dx may be dy itself (then it is overwritten); otherwise dx is added to.
void activation_backward(Stream&, Tensor x, Tensor dy, Tensor dx, Activation);
}  // namespace cpu

namespace cuda {
void activation_forward(Stream&, Tensor x, Tensor y, Activation);
void activation_backward(Stream&, Tensor x, Tensor dy, Tensor dx, Activation);
}  // namespace cuda

}  // namespace osprey
