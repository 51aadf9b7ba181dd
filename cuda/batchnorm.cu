#include "cuda/batchnorm.h"

#include "cuda/block.cuh"
#include "cuda/channel_tiles.cuh"
#include "cuda/launch.h"
#include "cuda/pack.cuh"

namespace osprey::cuda {
namespace {

// Count, mean and sum of squared differences from the mean: unlike sums of squares these lose nothing where
// the mean is large. Chan, Golub and LeVeque, "Algorithms for computing the sample variance", 1983.
struct Moments {
  float count, mean, squares;

  __device__ Moments operator+(const Moments& o) const {
    const float total = count + o.count;
    if (total == 0) return *this;
    const float apart = o.mean - mean, share = o.count / total;
    return {total, mean + apart * share, squares + o.squares + apart * apart * count * share};
  }
};

struct Two {
  float first, second;

  __device__ Two operator+(const Two& o) const { return {first + o.first, second + o.second}; }
};

// What normalises the channels of a pack.
template <int N>
struct Channels {
  Floats<N> mean, inverse_deviation, scale, bias;

  // Parameters do not start where a pack may, hence one by one.
  __device__ Channels(const BatchNorm& p, int c, bool rolling) {
    for (int k = 0; k < N; ++k) {
      mean[k] = rolling ? p.rolling_mean[c + k] : p.mean[c + k];
      inverse_deviation[k] =
          rolling ? 1.0f / sqrtf(p.rolling_variance[c + k] + p.epsilon) : p.inverse_deviation[c + k];
      scale[k] = p.scale[c + k];
      bias[k] = p.bias[c + k];
    }
  }
  __device__ float normalised(int k, float x) const { return (x - mean[k]) * inverse_deviation[k]; }
};

// One block per tile of channels and chunk of rows: mean and squares of the chunk. A thread sums differences
// from the first value it meets, which lies among the others, so that little cancels.
template <class X, int N>
__global__ void batchnorm_statistics_kernel(View<const X> x, View<float> partial) {
  const int c = tile_pack<N>(), channels = x.shape.c;
  const Rows rows = rows_of_block(x.shape.rows());
  const int start = rows.first + int(threadIdx.y);
  Moments moments[N] = {};
  if (c < channels && start < rows.last) {
    const Floats<N> shift = load<N>(x, start * channels + c);
    Floats<N> sum{}, squares{};
    for (int row = start; row < rows.last; row += blockDim.y) {
      const Floats<N> values = load<N>(x, row * channels + c);
      for (int k = 0; k < N; ++k) {
        const float difference = values[k] - shift[k];
        sum[k] += difference;
        squares[k] += difference * difference;
      }
    }
    const float count = float((rows.last - start + int(blockDim.y) - 1) / int(blockDim.y));
    for (int k = 0; k < N; ++k)
      moments[k] = {count, shift[k] + sum[k] / count, max(squares[k] - sum[k] * sum[k] / count, 0.0f)};
  }
  reduce_columns(moments, dynamic_shared<Moments>());
  if (threadIdx.y != 0 || c >= channels) return;
  for (int k = 0; k < N; ++k) {
    partial(0, int(blockIdx.y), 0, c + k) = moments[k].mean;
    partial(0, int(blockIdx.y), 1, c + k) = moments[k].squares;
  }
}

// One block per tile of channels, a thread for every sixteenth chunk of one channel: the mean of all chunks
// first, then the squares about that.
__global__ void batchnorm_combine_statistics_kernel(View<const float> partial, BatchNorm p, int rows) {
  const int c = tile_channel(), channels = partial.shape.c, chunks = partial.shape.h - 1;
  const int mine =
      c < channels ? chunks : 0;  // threads beyond the last channel only keep the barriers company
  double sum = 0, squares = 0;
  for (int k = threadIdx.y; k < mine; k += kTileRows) {
    const Rows chunk = chunk_rows(rows, k, chunks);
    sum += double(partial(0, k, 0, c)) * (chunk.last - chunk.first);
  }
  const double mean = tile_sum(sum) / rows;
  for (int k = threadIdx.y; k < mine; k += kTileRows) {
    const Rows chunk = chunk_rows(rows, k, chunks);
    const double apart = partial(0, k, 0, c) - mean;
    squares += double(partial(0, k, 1, c)) + apart * apart * (chunk.last - chunk.first);
  }
  squares = tile_sum(squares);
  if (threadIdx.y != 0 || c >= channels) return;
  const float variance = float(squares / rows), unbiased = float(squares / max(rows - 1, 1));
  p.mean[c] = float(mean);
  p.inverse_deviation[c] = 1.0f / sqrtf(variance + p.epsilon);
  p.rolling_mean[c] += p.momentum * (float(mean) - p.rolling_mean[c]);
  p.rolling_variance[c] += p.momentum * (unbiased - p.rolling_variance[c]);
}

// One thread per pack of channels, for about eight rows.
template <class X, class Y, int N, class Act>
__global__ void batchnorm_forward_kernel(View<const X> x, View<Y> y, BatchNorm p, bool rolling, Act act) {
  const int c = tile_pack<N>(), channels = x.shape.c;
  if (c >= channels) return;
  const Channels<N> channel(p, c, rolling);
  const Rows rows = rows_of_block(x.shape.rows());
  for (int row = rows.first + int(threadIdx.y); row < rows.last; row += blockDim.y) {
    Floats<N> values = load<N>(x, row * channels + c);
    for (int k = 0; k < N; ++k)
      values[k] = activate(act, channel.scale[k] * channel.normalised(k, values[k]) + channel.bias[k]);
    store(y, row * channels + c, values);
  }
}

// With g = dy activation'(scale x^ + bias) for the normalised input x^, and mean() over the n rows of a
// channel,
//   dscale = sum(g x^),   dbias = sum(g),   dx = scale / deviation (g - mean(g) - x^ mean(g x^)),
// where the two means drop out if the statistics are constants (frozen). The slope is worked out again in
// both passes, which costs less than to store g.
template <class Act, int N>
__device__ float gradient(Act act, const Channels<N>& channel, int k, float normalised, float dy) {
  return dy * slope(act, channel.scale[k] * normalised + channel.bias[k]);
}

// One block per tile of channels and chunk of rows: the chunk's sums of g and of g x^.
template <class X, class Y, int N, class Act>
__global__ void batchnorm_sums_kernel(View<const X> x, View<const Y> dy, BatchNorm p, Act act) {
  const int c = tile_pack<N>(), channels = x.shape.c;
  Two sums[N] = {};
  if (c < channels) {
    const Channels<N> channel(p, c, p.frozen);
    const Rows rows = rows_of_block(x.shape.rows());
    for (int row = rows.first + int(threadIdx.y); row < rows.last; row += blockDim.y) {
      const Floats<N> values = load<N>(x, row * channels + c), gradients = load<N>(dy, row * channels + c);
      for (int k = 0; k < N; ++k) {
        const float normalised = channel.normalised(k, values[k]);
        const float g = gradient(act, channel, k, normalised, gradients[k]);
        sums[k].first += g;
        sums[k].second += g * normalised;
      }
    }
  }
  reduce_columns(sums, dynamic_shared<Two>());
  if (threadIdx.y != 0 || c >= channels) return;
  for (int k = 0; k < N; ++k) {
    p.partial(0, int(blockIdx.y), 0, c + k) = sums[k].first;
    p.partial(0, int(blockIdx.y), 1, c + k) = sums[k].second;
  }
}

// One block per tile of channels, a thread for every sixteenth chunk of one channel. Leaves the two means
// that dx needs after the chunks' sums.
__global__ void batchnorm_combine_sums_kernel(BatchNorm p, int rows) {
  const int c = tile_channel(), channels = p.partial.shape.c, chunks = p.partial.shape.h - 1;
  const int mine = c < channels ? chunks : 0;
  double sum = 0, product = 0;
  for (int k = threadIdx.y; k < mine; k += kTileRows) {
    sum += p.partial(0, k, 0, c);
    product += p.partial(0, k, 1, c);
  }
  sum = tile_sum(sum);
  product = tile_sum(product);
  if (threadIdx.y != 0 || c >= channels) return;
  p.bias_gradient[c] += float(sum);
  p.scale_gradient[c] += float(product);
  p.partial(0, chunks, 0, c) = float(sum / rows);
  p.partial(0, chunks, 1, c) = float(product / rows);
}

// One thread per pack of channels, for about eight rows.
template <class X, class Y, int N, class Act>
__global__ void batchnorm_backward_kernel(View<const X> x, View<const Y> dy, View<Y> dx, BatchNorm p,
                                          bool add, Act act) {
  const int c = tile_pack<N>(), channels = x.shape.c;
  if (c >= channels) return;
  const Channels<N> channel(p, c, p.frozen);
  Floats<N> mean, mean_product;
  for (int k = 0; k < N; ++k) {
    mean[k] = p.frozen ? 0.0f : p.partial(0, p.partial.shape.h - 1, 0, c + k);
    mean_product[k] = p.frozen ? 0.0f : p.partial(0, p.partial.shape.h - 1, 1, c + k);
  }
  const Rows rows = rows_of_block(x.shape.rows());
  for (int row = rows.first + int(threadIdx.y); row < rows.last; row += blockDim.y) {
    const Floats<N> values = load<N>(x, row * channels + c);
    Floats<N> gradients = load<N>(dy, row * channels + c);
    for (int k = 0; k < N; ++k) {
      const float normalised = channel.normalised(k, values[k]);
      const float g = gradient(act, channel, k, normalised, gradients[k]);
      gradients[k] =
          channel.scale[k] * channel.inverse_deviation[k] * (g - mean[k] - normalised * mean_product[k]);
    }
    store(dx, row * channels + c, gradients, add);
  }
}

void forward(Stream& s, Tensor x, Tensor y, const BatchNorm& p, bool rolling) {
  with_types(x.type, y.type, [&](auto in, auto out) {
    using X = decltype(in);
    using Y = decltype(out);
    with_pack<X>({x.shape.c}, {x, y}, [&](auto length) {
      constexpr int N = decltype(length)::value;
      with_activation_of_packs<N>(p.activation, [&](auto act) {
        launch<batchnorm_forward_kernel<X, Y, N, decltype(act)>>(
            s, channel_tiles_passed<N>(x.shape.rows(), x.shape.c), x.view<const X>(), y.view<Y>(), p, rolling,
            act);
      });
    });
  });
}

void statistics(Stream& s, Tensor x, const BatchNorm& p) {
  assert(p.partial.shape == batchnorm_partial(x.shape));
  with_packs({x.shape.c}, {x}, [&](auto in, auto length) {
    using X = decltype(in);
    constexpr int N = decltype(length)::value;
    Grid grid = channel_tiles<N>(x.shape.c, p.partial.shape.h - 1);
    grid.shared_bytes = sizeof(Moments) * kTileThreads * N;
    launch<batchnorm_statistics_kernel<X, N>>(s, grid, x.view<const X>(), p.partial);
  });
  launch<batchnorm_combine_statistics_kernel>(s, one_block_per_channel_tile(x.shape.c),
                                              View<const float>(p.partial), p, x.shape.rows());
}

}  // namespace

void batchnorm_forward_training(Stream& s, Tensor x, Tensor y, BatchNorm p) {
  if (!p.frozen) statistics(s, x, p);
  forward(s, x, y, p, p.frozen);
}

void batchnorm_forward_inference(Stream& s, Tensor x, Tensor y, BatchNorm p) { forward(s, x, y, p, true); }

void batchnorm_backward(Stream& s, Tensor x, Tensor dy, Tensor dx, BatchNorm p) {
  assert(!p.has_sums() || p.partial.shape == batchnorm_partial(x.shape));
  const bool add = dx.data != dy.data;
  with_types(x.type, dx.type, [&](auto in, auto out) {
    using X = decltype(in);
    using Y = decltype(out);
    with_pack<X>({x.shape.c}, {x, dy, dx}, [&](auto length) {
      constexpr int N = decltype(length)::value;
      const auto from = x.view<const X>();
      const auto gradients = dy.view<const Y>();
      with_activation_of_packs<N>(p.activation, [&](auto act) {
        if (p.has_sums()) {
          Grid sums = channel_tiles<N>(x.shape.c, p.partial.shape.h - 1);
          sums.shared_bytes = sizeof(Two) * kTileThreads * N;
          launch<batchnorm_sums_kernel<X, Y, N, decltype(act)>>(s, sums, from, gradients, p, act);
          launch<batchnorm_combine_sums_kernel>(s, one_block_per_channel_tile(x.shape.c), p, x.shape.rows());
        }
        launch<batchnorm_backward_kernel<X, Y, N, decltype(act)>>(
            s, channel_tiles_passed<N>(x.shape.rows(), x.shape.c), from, gradients, dx.view<Y>(), p, add,
            act);
      });
    });
  });
}

}  // namespace osprey::cuda
