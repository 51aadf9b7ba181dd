// The contract of [avgpool]. The CPU side is in layers/avgpool.cpp, the kernels in cuda/avgpool.cu.
#pragma once

#include "core/stream.h"
#include "core/tensor.h"

namespace osprey {

namespace cpu {
void avgpool_forward(Stream&, View<const float> x, View<float> y);     // [n,h,w,c] -> [n,1,1,c]
void avgpool_backward(Stream&, View<const float> dy, View<float> dx);  // adds to dx
}  // namespace cpu

// Types: all of one, or x and dx of bf16 and y and dy of float.
namespace cuda {
void avgpool_forward(Stream&, Tensor x, Tensor y);
void avgpool_backward(Stream&, Tensor dy, Tensor dx);
}  // namespace cuda

}  // namespace osprey
