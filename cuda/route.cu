#include "cuda/route.h"

#include "cuda/launch.h"
#include "cuda/pack.cuh"

namespace osprey::cuda {
namespace {

// One thread per pack that moves.
template <class T, int N>
__global__ void route_forward_kernel(View<const T> x, int from, View<T> y, int to, int channels, bool add) {
  const int i = global_thread() * N;
  if (i >= y.shape.rows() * channels) return;
  const int row = i / channels, c = i % channels;
  store(y, row * y.shape.c + to + c, load<N>(x, row * x.shape.c + from + c), add);
}

// One thread per pack of dx.
template <class T, int N>
__global__ void route_backward_overwrite_kernel(View<const T> dy, int from, View<T> dx, int to,
                                                int channels) {
  const int i = global_thread() * N;
  if (i >= dx.size()) return;
  const int row = i / dx.shape.c, c = i % dx.shape.c - to;
  Floats<N> gradients{};
  if (c >= 0 && c < channels) gradients = load<N>(dy, row * dy.shape.c + from + c);
  store(dx, i, gradients);
}

void move(Stream& s, Tensor x, int from, Tensor y, int to, int channels, bool add) {
  with_packs({x.shape.c, y.shape.c, from, to, channels}, {x, y}, [&](auto value, auto length) {
    using T = decltype(value);
    constexpr int N = decltype(length)::value;
    launch<route_forward_kernel<T, N>>(s, one_thread_each(y.shape.rows() * channels / N), x.view<const T>(),
                                       from, y.view<T>(), to, channels, add);
  });
}

}  // namespace

void route_forward(Stream& s, Tensor x, int from, Tensor y, int to, int channels) {
  move(s, x, from, y, to, channels, false);
}

void route_backward(Stream& s, Tensor dy, int from, Tensor dx, int to, int channels) {
  move(s, dy, from, dx, to, channels, true);
}

void route_backward_overwrite(Stream& s, Tensor dy, int from, Tensor dx, int to, int channels) {
  with_packs({dx.shape.c, dy.shape.c, from, to, channels}, {dy, dx}, [&](auto value, auto length) {
    using T = decltype(value);
    constexpr int N = decltype(length)::value;
    launch<route_backward_overwrite_kernel<T, N>>(s, one_thread_each(dx.size() / N), dy.view<const T>(), from,
                                                  dx.view<T>(), to, channels);
  });
}

}  // namespace osprey::cuda
