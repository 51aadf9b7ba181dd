// The contract of [scale_channels]. The CPU side is in layers/scale_channels.cpp, the kernels in
// cuda/scale_channels.cu. The gate has one factor for each channel, [n,1,1,c], or with `pixels` for each
// pixel, [n,h,w,1].
#pragma once

#include "core/stream.h"
#include "core/tensor.h"

namespace osprey {

namespace cpu {
void scale_channels_forward(Stream&, View<const float> gate, View<const float> x, View<float> y, bool pixels);
// dx += gate dy
void scale_channels_backward_input(Stream&, View<const float> gate, View<const float> dy, View<float> dx,
                                   bool pixels);
// dgate += the sum of x dy over what one factor multiplied
void scale_channels_backward_gate(Stream&, View<const float> x, View<const float> dy, View<float> dgate,
                                  bool pixels);
}  // namespace cpu

namespace cuda {
void scale_channels_forward(Stream&, Tensor gate, Tensor x, Tensor y, bool pixels);
void scale_channels_backward_input(Stream&, Tensor gate, Tensor dy, Tensor dx, bool pixels);
void scale_channels_backward_gate(Stream&, Tensor x, Tensor dy, Tensor dgate, bool pixels);
}  // namespace cuda

}  // namespace osprey
