#include "cuda/activation.h"

#include "cuda/channel_activation.h"
#include "cuda/launch.h"
#include "cuda/pack.cuh"

namespace osprey::cuda {
namespace {

// One thread per pack. Act is a FixedActivation where the function is known when this is compiled.
template <class X, class Y, int N, class Act>
__global__ void activation_forward_kernel(View<const X> x, View<Y> y, Act act) {
  const int i = global_thread() * N;
  if (i >= y.size()) return;
  Floats<N> values = load<N>(x, i);
  for (int k = 0; k < N; ++k) values[k] = activate(act, values[k]);
  store(y, i, values);
}

// One thread per pack.
template <class X, class Y, int N, class Act>
__global__ void activation_backward_kernel(View<const X> x, View<const Y> dy, View<Y> dx, bool add, Act act) {
  const int i = global_thread() * N;
  if (i >= dx.size()) return;
  const Floats<N> values = load<N>(x, i);
  Floats<N> gradients = load<N>(dy, i);
  for (int k = 0; k < N; ++k) gradients[k] *= slope(act, values[k]);
  store(dx, i, gradients, add);
}

}  // namespace

void activation_forward(Stream& s, Tensor x, Tensor y, Activation a) {
  if (across_channels(a)) return channel_activation_forward(s, x, y, a);
  with_types(x.type, y.type, [&](auto in, auto out) {
    using X = decltype(in);
    using Y = decltype(out);
    with_pack<X>({y.size()}, {x, y}, [&](auto length) {
      constexpr int N = decltype(length)::value;
      with_activation_of_packs<N>(a, [&](auto act) {
        launch<activation_forward_kernel<X, Y, N, decltype(act)>>(s, one_thread_each(y.size() / N),
                                                                  x.view<const X>(), y.view<Y>(), act);
      });
    });
  });
}

void activation_backward(Stream& s, Tensor x, Tensor dy, Tensor dx, Activation a) {
  if (across_channels(a)) return channel_activation_backward(s, x, dy, dx, a);
  const bool add = dx.data != dy.data;
  with_types(x.type, dx.type, [&](auto in, auto out) {
    using X = decltype(in);
    using Y = decltype(out);
    with_pack<X>({dx.size()}, {x, dy, dx}, [&](auto length) {
      constexpr int N = decltype(length)::value;
      with_activation_of_packs<N>(a, [&](auto act) {
        launch<activation_backward_kernel<X, Y, N, decltype(act)>>(
            s, one_thread_each(dx.size() / N), x.view<const X>(), dy.view<const Y>(), dx.view<Y>(), add, act);
      });
    });
  });
}

}  // namespace osprey::cuda
