#include "cuda/channel_activation.h"

#include <algorithm>

#include "core/parallel.h"

namespace osprey::cpu {
namespace {

constexpr Activation kMaxval = Activation::normalize_channels_softmax_maxval;

// What the channels of a pixel are divided by, and what is taken away from them before.
struct Divisor {
  float largest = 0, sum = kChannelEpsilon;

  Divisor(const float* x, int channels, Activation a) {
    if (a == kMaxval) largest = *std::max_element(x, x + channels);
    double parts = 0;
    for (int c = 0; c < channels; ++c) parts += channel_part(a, x[c], largest);
    sum += float(parts);
  }
};

// body(first value of a pixel) for every pixel.
template <class Body>
void for_each_pixel(Shape s, Body&& body) {
  parallel_for(s.rows(), 1 + 4096 / s.c, [=](int64_t first, int64_t last) {
    for (int row = int(first); row < int(last); ++row) body(row * s.c);
  });
}

}  // namespace

void channel_activation_forward(Stream&, View<const float> x, View<float> y, Activation a) {
  for_each_pixel(x.shape, [=](int i) {
    const Divisor d(&x[i], x.shape.c, a);
    for (int c = 0; c < x.shape.c; ++c) y[i + c] = channel_part(a, x[i + c], d.largest) / d.sum;
  });
}

void channel_activation_backward(Stream&, View<const float> x, View<const float> dy, View<float> dx,
                                 Activation a) {
  const bool in_place = dx.data == dy.data;
  for_each_pixel(x.shape, [=](int i) {
    const int channels = x.shape.c;
    const Divisor d(&x[i], channels, a);
    double mean = 0;  // of dy, weighted by y
    for (int c = 0; c < channels; ++c)
      mean += double(dy[i + c]) * channel_part(a, x[i + c], d.largest) / d.sum;
    for (int c = 0; c < channels; ++c) {
      const float part = channel_part(a, x[i + c], d.largest);
      const float value = channel_part_slope(a, x[i + c], part) * (dy[i + c] - float(mean)) / d.sum;
      dx[i + c] = (in_place ? 0 : dx[i + c]) + value;
    }
    if (a == kMaxval)
      *(std::max_element(&x[i], &x[i] + channels) - x.data + dx.data) -=
          float(mean) * kChannelEpsilon / d.sum;
  });
}

}  // namespace osprey::cpu
