#include "cuda/batchnorm.h"

#include "cuda/block.cuh"
#include "cuda/launch.h"

namespace osprey::cuda {
namespace {

// What normalises one channel.
struct Channel {
  float mean, inverse_deviation, scale, bias;

  __device__ Channel(const BatchNorm& p, int c, bool rolling)
      : mean(rolling ? p.rolling_mean[c] : p.mean[c]),
        inverse_deviation(rolling ? 1.0f / sqrtf(p.rolling_variance[c] + p.epsilon) : p.inverse_deviation[c]),
        scale(p.scale[c]),
        bias(p.bias[c]) {}
  __device__ float normalised(float x) const { return (x - mean) * inverse_deviation; }
};

// One block per tile of channels, a thread for every sixteenth pixel of one channel. The mean comes first and
// the squares of the differences from it second: the difference of two large sums would cancel. Sums in
// double cost nothing here, where memory is the limit.
__global__ void batchnorm_statistics_kernel(View<const float> x, BatchNorm p) {
  const int c = tile_channel(), channels = x.shape.c, rows = x.shape.rows();
  const int mine = c < channels ? rows : 0;  // threads beyond the last channel only keep the barriers company
  double sum = 0, squares = 0;
  for (int row = threadIdx.y; row < mine; row += kTileRows) sum += x[row * channels + c];
  const double mean = tile_sum(sum) / rows;
  for (int row = threadIdx.y; row < mine; row += kTileRows) {
    const double difference = x[row * channels + c] - mean;
    squares += difference * difference;
  }
  squares = tile_sum(squares);
  if (threadIdx.y != 0 || c >= channels) return;
  const float variance = float(squares / rows), unbiased = float(squares / max(rows - 1, 1));
  p.mean[c] = float(mean);
  p.inverse_deviation[c] = 1.0f / sqrtf(variance + p.epsilon);
  p.rolling_mean[c] += p.momentum * (float(mean) - p.rolling_mean[c]);
  p.rolling_variance[c] += p.momentum * (unbiased - p.rolling_variance[c]);
}

// One thread per value.
template <class Act>
__global__ void batchnorm_forward_kernel(View<const float> x, View<float> y, BatchNorm p, bool rolling,
                                         Act act) {
  const int i = global_thread();
  if (i >= y.size()) return;
  const Channel channel(p, i % x.shape.c, rolling);
  y[i] = activate(act, channel.scale * channel.normalised(x[i]) + channel.bias);
}

// One block per tile of channels, as for the statistics: sums the gradients, then uses the sums. With
// g = dy activation'(scale x^ + bias) for the normalised input x^, and mean() over the n pixels of the
// channel,
//   dscale = sum(g x^),   dbias = sum(g),   dx = scale / deviation (g - mean(g) - x^ mean(g x^)),
// where the two means drop out if the statistics are constants (frozen).
template <class Act>
__global__ void batchnorm_backward_kernel(View<const float> x, View<const float> dy, View<float> dx,
                                          BatchNorm p, bool add, Act act) {
  const int c = tile_channel(), channels = x.shape.c, rows = x.shape.rows();
  const int mine = c < channels ? rows : 0;
  const Channel channel(p, min(c, channels - 1), p.frozen);
  auto gradient = [&](int i, float normalised) {
    return dy[i] * slope(act, channel.scale * normalised + channel.bias);
  };
  double sum = 0, product = 0;
  for (int row = threadIdx.y; row < mine; row += kTileRows) {
    const int i = row * channels + c;
    const float normalised = channel.normalised(x[i]), g = gradient(i, normalised);
    sum += g;
    product += double(g) * normalised;
  }
  sum = tile_sum(sum);
  product = tile_sum(product);
  const float mean = p.frozen ? 0.0f : float(sum / rows),
              mean_product = p.frozen ? 0.0f : float(product / rows);
  for (int row = threadIdx.y; row < mine; row += kTileRows) {
    const int i = row * channels + c;
    const float normalised = channel.normalised(x[i]);
    const float centred = gradient(i, normalised) - mean - normalised * mean_product;
    const float value = channel.scale * channel.inverse_deviation * centred;
    dx[i] = add ? dx[i] + value : value;
  }
  if (threadIdx.y != 0 || c >= channels) return;
  p.scale_gradient[c] += float(product);
  p.bias_gradient[c] += float(sum);
}

void forward(Stream& s, View<const float> x, View<float> y, const BatchNorm& p, bool rolling) {
  with_activation(p.activation, [&](auto act) {
    launch<batchnorm_forward_kernel<decltype(act)>>(s, one_thread_each(y.size()), x, y, p, rolling, act);
  });
}

}  // namespace

void batchnorm_forward_training(Stream& s, View<const float> x, View<float> y, BatchNorm p) {
  if (!p.frozen) launch<batchnorm_statistics_kernel>(s, one_block_per_channel_tile(x.shape.c), x, p);
  forward(s, x, y, p, p.frozen);
}

void batchnorm_forward_inference(Stream& s, View<const float> x, View<float> y, BatchNorm p) {
  forward(s, x, y, p, true);
}

void batchnorm_backward(Stream& s, View<const float> x, View<float> dy, View<float> dx, BatchNorm p) {
  const bool add = dx.data != dy.data;
  with_activation(p.activation, [&](auto act) {
    launch<batchnorm_backward_kernel<decltype(act)>>(s, one_block_per_channel_tile(x.shape.c), x,
                                                     View<const float>(dy), dx, p, add, act);
  });
}

}  // namespace osprey::cuda
