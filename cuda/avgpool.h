// The contract of [avgpool]. The CPU side is in layers/avgpool.cpp, the kernels in cuda/avgpool.cu.
#pragma once

#include "core/stream.h"
#include "core/tensor.h"
#include "core/window.h"

namespace osprey {

// Means over windows. As in PyTorch the padding before and after the image may count as zeros, but not what
// a last window has beyond that.
struct Averaging {
  Window2 window;
  bool count_padding = true;

  // How many rows (or columns) an output is divided by.
  HOST_DEVICE int counted(const Window& w, int output, int inputs) const {
    const int start = w.start(output), end = start + w.size, most = inputs + (count_padding ? w.before : 0);
    return (end < most ? end : most) - (count_padding || start > 0 ? start : 0);
  }
  HOST_DEVICE float divisor(int oh, int ow, Shape in) const {
    return float(counted(window.h, oh, in.h) * counted(window.w, ow, in.w));
  }
};

namespace cpu {
void avgpool_forward(Stream&, View<const float> x, View<float> y);     // [n,h,w,c] -> [n,1,1,c]
void avgpool_backward(Stream&, View<const float> dy, View<float> dx);  // adds to dx
void avgpool_windows_forward(Stream&, View<const float> x, View<float> y, Averaging);
void avgpool_windows_backward(Stream&, View<const float> dy, View<float> dx, Averaging);  // adds to dx
}  // namespace cpu

// Types: all of one, or x and dx of bf16 and y and dy of float.
namespace cuda {
void avgpool_forward(Stream&, Tensor x, Tensor y);
void avgpool_backward(Stream&, Tensor dy, Tensor dx);
void avgpool_windows_forward(Stream&, Tensor x, Tensor y, Averaging);
void avgpool_windows_backward(Stream&, Tensor dy, Tensor dx, Averaging);
}  // namespace cuda

}  // namespace osprey
