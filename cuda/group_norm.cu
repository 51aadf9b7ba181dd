#include "cuda/group_norm.h"

#include "cuda/block.cuh"
#include "cuda/channel_tiles.cuh"
#include "cuda/launch.h"
#include "cuda/pack.cuh"

namespace osprey::cuda {
namespace {

constexpr int kGroupThreads = 128;  // that combine the chunks of a group

// Sums in double: squares of floats lose nothing in it, and two sums of them cancel harmlessly.
struct Two {
  double first, second;

  __device__ Two operator+(const Two& o) const { return {first + o.first, second + o.second}; }
};

int pixels(Shape s) { return s.h * s.w; }

// What normalises the channels of a pack in one image. Parameters do not start where a pack may, and the
// channels of a pack may be of several groups, hence one by one.
template <int N>
struct Channels {
  Floats<N> mean, inverse_deviation, scale, bias;

  __device__ Channels(const GroupNorm& p, int image, int c) {
    const int of_group = p.scale.size() / p.groups;
    for (int k = 0; k < N; ++k) {
      mean[k] = p.mean(image, 0, 0, (c + k) / of_group);
      inverse_deviation[k] = p.inverse_deviation(image, 0, 0, (c + k) / of_group);
      scale[k] = p.scale[c + k];
      bias[k] = p.bias[c + k];
    }
  }
  __device__ float normalised(int k, float x) const { return (x - mean[k]) * inverse_deviation[k]; }
  __device__ float result(int k, float normalised) const { return scale[k] * normalised + bias[k]; }
};

// One block per tile of channels, chunk of rows and image: mean and sum of squared differences from it, of
// each channel.
template <class T, int N>
__global__ void group_norm_statistics_kernel(View<const T> x, View<float> partial) {
  const int c = tile_pack<N>(), channels = x.shape.c, image = blockIdx.z, all = x.shape.h * x.shape.w;
  const Rows rows = rows_of_block(all);
  Two sums[N] = {};
  if (c < channels)
    for (int row = rows.first + int(threadIdx.y); row < rows.last; row += blockDim.y) {
      const Floats<N> values = load<N>(x, (image * all + row) * channels + c);
      for (int k = 0; k < N; ++k) {
        const double value = values[k];
        sums[k] = sums[k] + Two{value, value * value};
      }
    }
  reduce_columns(sums, dynamic_shared<Two>());
  if (threadIdx.y != 0 || c >= channels) return;
  for (int k = 0; k < N; ++k) {
    const double mean = sums[k].first / (rows.last - rows.first);
    partial(image, int(blockIdx.y), 0, c + k) = float(mean);
    partial(image, int(blockIdx.y), 1, c + k) = float(max(sums[k].second - mean * sums[k].first, 0.0));
  }
}

// The parts that the chunks' sums of one group and image consist of: its channels in each chunk.
struct Parts {
  int image, group, of_group, chunks;

  __device__ Parts(const GroupNorm& p, const View<const float>& partial)
      : image(blockIdx.y), group(blockIdx.x), of_group(partial.shape.c / p.groups), chunks(partial.shape.h) {}
  __device__ int count() const { return chunks * of_group; }
  __device__ int chunk(int i) const { return i / of_group; }
  __device__ int channel(int i) const { return group * of_group + i % of_group; }
};

// One block per group and image: the mean of all parts first, then the squares about that.
__global__ void group_norm_combine_kernel(View<const float> partial, GroupNorm p, int all) {
  const Parts parts(p, partial);
  const auto rows_of = [&](int i) {
    const Rows rows = chunk_rows(all, parts.chunk(i), parts.chunks);
    return rows.last - rows.first;
  };
  const double count = double(all) * parts.of_group;
  double sum = 0, squares = 0;
  for (int i = threadIdx.x; i < parts.count(); i += blockDim.x)
    sum += double(partial(parts.image, parts.chunk(i), 0, parts.channel(i))) * rows_of(i);
  const double mean = block_sum(sum) / count;
  for (int i = threadIdx.x; i < parts.count(); i += blockDim.x) {
    const double apart = partial(parts.image, parts.chunk(i), 0, parts.channel(i)) - mean;
    squares += double(partial(parts.image, parts.chunk(i), 1, parts.channel(i))) + apart * apart * rows_of(i);
  }
  squares = block_sum(squares);
  if (threadIdx.x != 0) return;
  p.mean(parts.image, 0, 0, parts.group) = float(mean);
  p.inverse_deviation(parts.image, 0, 0, parts.group) = 1.0f / sqrtf(float(squares / count) + p.epsilon);
}

// One thread per pack of channels, for about eight rows of one image.
template <class T, int N>
__global__ void group_norm_forward_kernel(View<const T> x, View<T> y, GroupNorm p) {
  const int c = tile_pack<N>(), channels = x.shape.c, image = blockIdx.z, all = x.shape.h * x.shape.w;
  if (c >= channels) return;
  const Channels<N> channel(p, image, c);
  const Rows rows = rows_of_block(all);
  for (int row = rows.first + int(threadIdx.y); row < rows.last; row += blockDim.y) {
    const int i = (image * all + row) * channels + c;
    Floats<N> values = load<N>(x, i);
    for (int k = 0; k < N; ++k)
      values[k] = activate(p.activation, channel.result(k, channel.normalised(k, values[k])));
    store(y, i, values);
  }
}

// With g = dy activation'(scale x^ + bias) for the normalised input x^, and mean() over the pixels and the
// channels of a group,
//   dscale = sum(g x^),   dbias = sum(g),   dx = (scale g - mean(scale g) - x^ mean(scale g x^)) / deviation.
// The slope is worked out again in both passes, which costs less than to store g.
template <int N>
__device__ float gradient(const GroupNorm& p, const Channels<N>& channel, int k, float normalised, float dy) {
  return dy * slope(p.activation, channel.result(k, normalised));
}

// One block per tile of channels, chunk of rows and image: the sums of g and of g x^, of each channel.
template <class T, int N>
__global__ void group_norm_sums_kernel(View<const T> x, View<const T> dy, GroupNorm p) {
  const int c = tile_pack<N>(), channels = x.shape.c, image = blockIdx.z, all = x.shape.h * x.shape.w;
  Two sums[N] = {};
  if (c < channels) {
    const Channels<N> channel(p, image, c);
    const Rows rows = rows_of_block(all);
    for (int row = rows.first + int(threadIdx.y); row < rows.last; row += blockDim.y) {
      const int i = (image * all + row) * channels + c;
      const Floats<N> values = load<N>(x, i), gradients = load<N>(dy, i);
      for (int k = 0; k < N; ++k) {
        const float normalised = channel.normalised(k, values[k]);
        const double g = gradient(p, channel, k, normalised, gradients[k]);
        sums[k] = sums[k] + Two{g, g * normalised};
      }
    }
  }
  reduce_columns(sums, dynamic_shared<Two>());
  if (threadIdx.y != 0 || c >= channels) return;
  for (int k = 0; k < N; ++k) {
    p.partial(image, int(blockIdx.y), 0, c + k) = float(sums[k].first);
    p.partial(image, int(blockIdx.y), 1, c + k) = float(sums[k].second);
  }
}

// One block per group and image: the two means that dx needs.
__global__ void group_norm_means_kernel(View<const float> partial, GroupNorm p, int all) {
  const Parts parts(p, partial);
  double first = 0, second = 0;
  for (int i = threadIdx.x; i < parts.count(); i += blockDim.x) {
    const double scale = p.scale[parts.channel(i)];
    first += scale * partial(parts.image, parts.chunk(i), 0, parts.channel(i));
    second += scale * partial(parts.image, parts.chunk(i), 1, parts.channel(i));
  }
  const double count = double(all) * parts.of_group;
  first = block_sum(first);
  second = block_sum(second);
  if (threadIdx.x != 0) return;
  p.means(parts.image, 0, 0, parts.group) = float(first / count);
  p.means(parts.image, 0, 1, parts.group) = float(second / count);
}

// One block per tile of channels, a thread for every sixteenth chunk of one channel, over all images.
__global__ void group_norm_parameters_kernel(View<const float> partial, GroupNorm p) {
  const int c = tile_channel(), chunks = partial.shape.h;
  const bool inside = c < partial.shape.c;
  const int mine = inside ? partial.shape.n * chunks : 0;  // the rest only keep the barriers company
  double first = 0, second = 0;
  for (int i = threadIdx.y; i < mine; i += kTileRows) {
    first += partial(i / chunks, i % chunks, 0, c);
    second += partial(i / chunks, i % chunks, 1, c);
  }
  first = tile_sum(first);
  second = tile_sum(second);
  if (!inside || threadIdx.y != 0) return;
  p.bias_gradient[c] += float(first);
  p.scale_gradient[c] += float(second);
}

// One thread per pack of channels, for about eight rows of one image.
template <class T, int N>
__global__ void group_norm_backward_kernel(View<const T> x, View<const T> dy, View<T> dx, bool add,
                                           GroupNorm p) {
  const int c = tile_pack<N>(), channels = x.shape.c, image = blockIdx.z, all = x.shape.h * x.shape.w;
  if (c >= channels) return;
  const Channels<N> channel(p, image, c);
  const int of_group = channels / p.groups;
  Floats<N> mean_g, mean_product;
  for (int k = 0; k < N; ++k) {
    mean_g[k] = p.means(image, 0, 0, (c + k) / of_group);
    mean_product[k] = p.means(image, 0, 1, (c + k) / of_group);
  }
  const Rows rows = rows_of_block(all);
  for (int row = rows.first + int(threadIdx.y); row < rows.last; row += blockDim.y) {
    const int i = (image * all + row) * channels + c;
    const Floats<N> values = load<N>(x, i);
    Floats<N> gradients = load<N>(dy, i);
    for (int k = 0; k < N; ++k) {
      const float normalised = channel.normalised(k, values[k]);
      const float g = channel.scale[k] * gradient(p, channel, k, normalised, gradients[k]);
      gradients[k] = channel.inverse_deviation[k] * (g - mean_g[k] - normalised * mean_product[k]);
    }
    store(dx, i, gradients, add);
  }
}

// The grid of a kernel that sums over the chunks of `partial`.
template <int N>
Grid chunk_tiles(const View<float>& partial) {
  Grid grid = channel_tiles<N>(partial.shape.c, partial.shape.h, partial.shape.n);
  grid.shared_bytes = kTileThreads * N * sizeof(Two);
  return grid;
}

template <int N>
Grid passing_tiles(Shape x) {
  Grid grid = channel_tiles_passed<N>(pixels(x), x.c);
  grid.blocks.z = unsigned(x.n);
  return grid;
}

Grid one_block_per_group(Shape x, const GroupNorm& p) {
  return {dim3(unsigned(p.groups), unsigned(x.n)), dim3(kGroupThreads)};
}

}  // namespace

void group_norm_forward(Stream& s, Tensor x, Tensor y, GroupNorm p) {
  with_packs({x.shape.c}, {x, y}, [&](auto value, auto length) {
    using T = decltype(value);
    constexpr int N = length.value;
    launch<group_norm_statistics_kernel<T, N>>(s, chunk_tiles<N>(p.partial), x.view<const T>(), p.partial);
    launch<group_norm_combine_kernel>(s, one_block_per_group(x.shape, p), View<const float>(p.partial), p,
                                      pixels(x.shape));
    launch<group_norm_forward_kernel<T, N>>(s, passing_tiles<N>(x.shape), x.view<const T>(), y.view<T>(), p);
  });
}

void group_norm_backward(Stream& s, Tensor x, Tensor dy, Tensor dx, bool add, GroupNorm p) {
  const View<const float> partial = p.partial;
  with_packs({x.shape.c}, {x, dy, dx}, [&](auto value, auto length) {
    using T = decltype(value);
    constexpr int N = length.value;
    launch<group_norm_sums_kernel<T, N>>(s, chunk_tiles<N>(p.partial), x.view<const T>(), dy.view<const T>(),
                                         p);
    if (p.scale_gradient)
      launch<group_norm_parameters_kernel>(s, one_block_per_channel_tile(x.shape.c), partial, p);
    if (!dx) return;
    launch<group_norm_means_kernel>(s, one_block_per_group(x.shape, p), partial, p, pixels(x.shape));
    launch<group_norm_backward_kernel<T, N>>(s, passing_tiles<N>(x.shape), x.view<const T>(),
                                             dy.view<const T>(), dx.view<T>(), add, p);
  });
}

}  // namespace osprey::cuda
