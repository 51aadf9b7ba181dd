// The contract of antialiasing in [convolutional] and [maxpool]: a blur before pixels are left out (Zhang,
// "Making convolutional networks shift-invariant again", 2019). The CPU side is in layers/blur.cpp, the
// kernels in cuda/blur.cu.
#pragma once

#include "core/stream.h"
#include "core/tensor.h"
#include "core/window.h"

namespace osprey {

// Each channel for itself: weights 1/4, 1/2, 1/4 on each axis, or 1/2, 1/2 for a window of two pixels.
struct Blur {
  Window2 window;

  HOST_DEVICE static float of_axis(int size, int tap) { return size == 3 && tap != 1 ? 0.25f : 0.5f; }
  HOST_DEVICE float weight(int p, int q) const {
    return of_axis(window.h.size, p) * of_axis(window.w.size, q);
  }
};

namespace cpu {
void blur_forward(Stream&, View<const float> x, View<float> y, Blur);
void blur_backward(Stream&, View<const float> dy, View<float> dx, Blur);  // overwrites dx
}  // namespace cpu

namespace cuda {
void blur_forward(Stream&, Tensor x, Tensor y, Blur);
void blur_backward(Stream&, Tensor dy, Tensor dx, Blur);
}  // namespace cuda

}  // namespace osprey
