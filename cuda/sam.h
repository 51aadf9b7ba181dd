// The contract of [sam]. The CPU side is in layers/sam.cpp, the kernels in cuda/sam.cu.
#pragma once

#include "core/stream.h"
#include "core/tensor.h"

namespace osprey {

namespace cpu {
void sam_forward(Stream&, View<const float> a, View<const float> b, View<float> y);         // y = a b
void sam_backward(Stream&, View<const float> other, View<const float> dy, View<float> dx);  // dx += other dy
}  // namespace cpu

namespace cuda {
void sam_forward(Stream&, Tensor a, Tensor b, Tensor y);
void sam_backward(Stream&, Tensor other, Tensor dy, Tensor dx);
}  // namespace cuda

}  // namespace osprey
