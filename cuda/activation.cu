#include "cuda/activation.h"

#include "cuda/launch.h"

namespace osprey::cuda {
namespace {

// One thread per value. Act is a FixedActivation where the function is known when this is compiled.
template <class Act>
__global__ void activation_forward_kernel(View<const float> x, View<float> y, Act act) {
  const int i = global_thread();
  if (i >= y.size()) return;
  y[i] = activate(act, x[i]);
}

// One thread per value.
template <class Act>
__global__ void activation_backward_kernel(View<const float> x, View<const float> dy, View<float> dx,
                                           bool add, Act act) {
  const int i = global_thread();
  if (i >= dx.size()) return;
  const float gradient = dy[i] * slope(act, x[i]);
  dx[i] = add ? dx[i] + gradient : gradient;
}

}  // namespace

void activation_forward(Stream& s, View<const float> x, View<float> y, Activation a) {
  with_activation(a, [&](auto act) {
    launch<activation_forward_kernel<decltype(act)>>(s, one_thread_each(y.size()), x, y, act);
  });
}

void activation_backward(Stream& s, View<const float> x, View<const float> dy, View<float> dx, Activation a) {
  const bool add = dx.data != dy.data;
  with_activation(a, [&](auto act) {
    launch<activation_backward_kernel<decltype(act)>>(s, one_thread_each(dx.size()), x, dy, dx, add, act);
  });
}

}  // namespace osprey::cuda
