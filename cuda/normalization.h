// The contract of [normalization]. The CPU side is in layers/normalization.cpp, the kernels in
// cuda/normalization.cu.
//
//   n_c = kappa + alpha (sum of x_k^2 over the window of c, less x_m^2)      y_c = x_c n_c^-beta
//
// The window of channel c goes from c - (size - 1) / 2 to c + size / 2, as far as there are channels. Darknet
// slides its sum from window to window, and the first one lacks its last channel m = size / 2; so all lack
// it, also those that do not have it.
#pragma once

#include "core/stream.h"
#include "core/tensor.h"

namespace osprey {

struct ChannelWindow {
  float alpha = 1e-4f, beta = 0.75f, kappa = 1;
  int size = 5;

  HOST_DEVICE int first(int c) const { return c < (size - 1) / 2 ? 0 : c - (size - 1) / 2; }
  HOST_DEVICE int last(int c, int channels) const {
    return c + size / 2 < channels ? c + size / 2 : channels - 1;
  }
  // The channels whose windows have channel k: the inverse of these.
  HOST_DEVICE int first_with(int k) const { return k < size / 2 ? 0 : k - size / 2; }
  HOST_DEVICE int last_with(int k, int channels) const {
    return k + (size - 1) / 2 < channels ? k + (size - 1) / 2 : channels - 1;
  }
  HOST_DEVICE int missing() const { return size / 2; }
};

// Where t_c = dy_c x_c n_c^(-beta-1) and s_k is the sum of t over the channels whose windows have k, less for
// k = m the sum of all t:  dx_k = dy_k n_k^-beta - 2 alpha beta x_k s_k. That is added to dx; Darknet
// overwrites it with the first term.
namespace cpu {
// `norms` receives n; it is empty when not training.
void normalization_forward(Stream&, View<const float> x, View<float> y, View<float> norms, ChannelWindow);
void normalization_backward(Stream&, View<const float> x, View<const float> norms, View<const float> dy,
                            View<float> dx, ChannelWindow);
}  // namespace cpu

namespace cuda {
void normalization_forward(Stream&, Tensor x, Tensor y, View<float> norms, ChannelWindow);
void normalization_backward(Stream&, Tensor x, View<const float> norms, Tensor dy, Tensor dx, ChannelWindow);
}  // namespace cuda

}  // namespace osprey
