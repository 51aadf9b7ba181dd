#include "cuda/normalization.h"

#include "cuda/launch.h"

namespace osprey::cuda {
namespace {

template <class T>
__device__ float square(View<const T> x, int i) {
  return float(x[i]) * float(x[i]);
}

// One thread per value, which sums the squares under its window.
template <class T>
__global__ void normalization_forward_kernel(View<const T> x, View<T> y, View<float> norms,
                                             ChannelWindow window) {
  const int i = global_thread();
  if (i >= y.size()) return;
  const int channels = x.shape.c, c = i % channels, pixel = i - c;
  float sum = 0;
  for (int k = window.first(c); k <= window.last(c, channels); ++k) sum += square(x, pixel + k);
  if (window.missing() < channels) sum -= square(x, pixel + window.missing());
  const float norm = window.kappa + window.alpha * sum;
  y[i] = T(float(x[i]) * powf(norm, -window.beta));
  if (norms) norms[i] = norm;
}

// One thread per value, which collects from every window that has it: nearly always few.
template <class T>
__global__ void normalization_backward_kernel(View<const T> x, View<const float> norms, View<const T> dy,
                                              View<T> dx, ChannelWindow window) {
  const int i = global_thread();
  if (i >= dx.size()) return;
  const int channels = x.shape.c, c = i % channels, pixel = i - c;
  auto term = [&](int k) {
    return float(dy[pixel + k]) * float(x[pixel + k]) * powf(norms[pixel + k], -window.beta - 1);
  };
  float sum = 0;
  for (int k = window.first_with(c); k <= window.last_with(c, channels); ++k) sum += term(k);
  if (c == window.missing())
    for (int k = 0; k < channels; ++k) sum -= term(k);
  const float own = float(dy[i]) * powf(norms[i], -window.beta);
  dx[i] = T(float(dx[i]) + own - 2 * window.alpha * window.beta * float(x[i]) * sum);
}

}  // namespace

void normalization_forward(Stream& s, Tensor x, Tensor y, View<float> norms, ChannelWindow window) {
  with_type(x.type, [&](auto value) {
    using T = decltype(value);
    launch<normalization_forward_kernel<T>>(s, one_thread_each(y.size()), x.view<const T>(), y.view<T>(),
                                            norms, window);
  });
}

void normalization_backward(Stream& s, Tensor x, View<const float> norms, Tensor dy, Tensor dx,
                            ChannelWindow window) {
  with_type(x.type, [&](auto value) {
    using T = decltype(value);
    launch<normalization_backward_kernel<T>>(s, one_thread_each(dx.size()), x.view<const T>(), norms,
                                             dy.view<const T>(), dx.view<T>(), window);
  });
}

}  // namespace osprey::cuda
