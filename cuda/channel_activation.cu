#include "cuda/channel_activation.h"

#include <cfloat>

#include "cuda/block.cuh"
#include "cuda/launch.h"
#include "cuda/pack.cuh"

namespace osprey::cuda {
namespace {

constexpr int kWarps = 8;  // of a block

Grid one_warp_each(int rows) { return {dim3(unsigned((rows + kWarps - 1) / kWarps)), dim3(32 * kWarps)}; }

// The pixel of a warp, whose lanes take its channels in turn. Warps beyond the last pixel have no channels,
// and only take part in the sums.
template <class X>
struct PixelOfWarp {
  int first = 0, channels = 0, lane;
  float largest = 0, sum = 0;

  __device__ PixelOfWarp(View<const X> x, Activation a) : lane(threadIdx.x % 32) {
    const int row = global_thread() / 32;
    if (row < x.shape.rows()) first = row * x.shape.c, channels = x.shape.c;
    if (a == Activation::normalize_channels_softmax_maxval) {
      largest = -FLT_MAX;
      for (int c = lane; c < channels; c += 32) largest = max(largest, float(x[first + c]));
      largest = warp_max(largest);
    }
    for (int c = lane; c < channels; c += 32) sum += channel_part(a, float(x[first + c]), largest);
    sum = kChannelEpsilon + warp_sum(sum);
  }

  // The first channel that has the largest value.
  __device__ int winner(View<const X> x) const {
    int best = channels;
    for (int c = lane; c < channels; c += 32)
      if (c < best && float(x[first + c]) == largest) best = c;
    return -warp_max(-best);
  }
};

// One warp per pixel. y may be x: the sums are made before the first value is written.
template <class X, class Y>
__global__ void channel_activation_forward_kernel(View<const X> x, View<Y> y, Activation a) {
  const PixelOfWarp<X> pixel(x, a);
  for (int c = pixel.lane; c < pixel.channels; c += 32) {
    const int i = pixel.first + c;
    y[i] = Y(channel_part(a, float(x[i]), pixel.largest) / pixel.sum);
  }
}

// One warp per pixel.
template <class X, class Y>
__global__ void channel_activation_backward_kernel(View<const X> x, View<const Y> dy, View<Y> dx, bool add,
                                                   Activation a) {
  const PixelOfWarp<X> pixel(x, a);
  float mean = 0;  // of dy, weighted by y
  for (int c = pixel.lane; c < pixel.channels; c += 32) {
    const int i = pixel.first + c;
    mean += float(dy[i]) * channel_part(a, float(x[i]), pixel.largest) / pixel.sum;
  }
  mean = warp_sum(mean);
  const int winner = a == Activation::normalize_channels_softmax_maxval ? pixel.winner(x) : -1;
  for (int c = pixel.lane; c < pixel.channels; c += 32) {
    const int i = pixel.first + c;
    const float part = channel_part(a, float(x[i]), pixel.largest);
    float value = channel_part_slope(a, float(x[i]), part) * (float(dy[i]) - mean) / pixel.sum;
    if (c == winner) value -= mean * kChannelEpsilon / pixel.sum;
    dx[i] = Y(add ? float(dx[i]) + value : value);
  }
}

}  // namespace

void channel_activation_forward(Stream& s, Tensor x, Tensor y, Activation a) {
  with_types(x.type, y.type, [&](auto in, auto out) {
    using X = decltype(in);
    using Y = decltype(out);
    launch<channel_activation_forward_kernel<X, Y>>(s, one_warp_each(x.shape.rows()), x.view<const X>(),
                                                    y.view<Y>(), a);
  });
}

void channel_activation_backward(Stream& s, Tensor x, Tensor dy, Tensor dx, Activation a) {
  const bool add = dx.data != dy.data;
  with_types(x.type, dx.type, [&](auto in, auto out) {
    using X = decltype(in);
    using Y = decltype(out);
    launch<channel_activation_backward_kernel<X, Y>>(s, one_warp_each(x.shape.rows()), x.view<const X>(),
                                                     dy.view<const Y>(), dx.view<Y>(), add, a);
  });
}

}  // namespace osprey::cuda
