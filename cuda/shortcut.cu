#include "cuda/shortcut.h"

#include "cuda/block.cuh"
#include "cuda/channel_tiles.cuh"
#include "cuda/launch.h"
#include "cuda/pack.cuh"

namespace osprey::cuda {
namespace {

// One thread per pack of y.
template <class T, int N>
__global__ void shortcut_sum_kernel(View<const T> a, View<const T> b, View<T> y) {
  const int i = global_thread() * N;
  if (i >= y.size()) return;
  const int row = i / y.shape.c, c = i % y.shape.c;
  Floats<N> sum = load<N>(a, i);
  if (c < b.shape.c) {
    const Floats<N> values = load<N>(b, row * b.shape.c + c);
    for (int k = 0; k < N; ++k) sum[k] += values[k];
  }
  store(y, i, sum);
}

// One thread per pack.
template <class T, int N>
__global__ void shortcut_scale_kernel(View<const T> from, View<T> to, Factor factor) {
  const int i = global_thread() * N;
  if (i >= to.size()) return;
  const int c = i % to.shape.c;
  Floats<N> values = load<N>(from, i);
  for (int k = 0; k < N; ++k) values[k] *= factor(c + k);
  store(to, i, values);
}

// The places in x and y of value i of the [n, h, w, c] values in which they meet.
struct Met {
  int x, y, c;

  __device__ Met(Shape x_shape, Shape y_shape, Meeting m, int i) {
    const auto [n, h, w, c] = Shape{x_shape.n, m.h, m.w, m.c}.pixel(i);
    x = x_shape.index(n, h * m.x_step, w * m.x_step, c);
    y = y_shape.index(n, h * m.y_step, w * m.y_step, c);
    this->c = c;
  }
};

// One thread per pack of values that meet.
template <class T, int N>
__global__ void shortcut_add_kernel(View<const T> x, View<T> y, Factor factor, float alpha, Meeting m) {
  const int i = global_thread() * N;
  if (i >= x.shape.n * m.h * m.w * m.c) return;
  const Met met(x.shape, y.shape, m, i);
  const Floats<N> values = load<N>(x, met.x);
  Floats<N> sum = load<N>(y, met.y);
  for (int k = 0; k < N; ++k) sum[k] = alpha * sum[k] + factor(met.c + k) * values[k];
  store(y, met.y, sum);
}

// One thread per pack of values that meet.
template <class T, int N>
__global__ void shortcut_backward_kernel(View<const T> dy, View<T> dx, Factor factor, Meeting m) {
  const int i = global_thread() * N;
  if (i >= dx.shape.n * m.h * m.w * m.c) return;
  const Met met(dx.shape, dy.shape, m, i);
  Floats<N> gradients = load<N>(dy, met.y);
  for (int k = 0; k < N; ++k) gradients[k] *= factor(met.c + k);
  store(dx, met.x, gradients, true);
}

// One thread per pack of dx.
template <class T, int N>
__global__ void shortcut_backward_overwrite_kernel(View<const T> dy, View<T> dx, Factor factor, Meeting m) {
  const int i = global_thread() * N;
  if (i >= dx.size()) return;
  const auto [n, h, w, c] = dx.shape.pixel(i);
  const bool meets =
      c < m.c && h % m.x_step == 0 && w % m.x_step == 0 && h / m.x_step < m.h && w / m.x_step < m.w;
  Floats<N> gradients{};
  if (meets) {
    gradients = load<N>(dy, dy.shape.index(n, h / m.x_step * m.y_step, w / m.x_step * m.y_step, c));
    for (int k = 0; k < N; ++k) gradients[k] *= factor(c + k);
  }
  store(dx, i, gradients);
}

// A column of weights, one for each layer, and what normalising makes of them.
struct Column {
  View<const float> weights;  // [1, 1, layers, 1 or c]
  WeightNormalisation how;
  int channel;
  float largest, sum;

  __device__ Column(View<const float> w, WeightNormalisation how, int c)
      : weights(w), how(how), channel(w.shape.c == 1 ? 0 : c), largest(weight(0)), sum(kWeightEpsilon) {
    for (int k = 1; k < w.shape.w; ++k) largest = max(largest, weight(k));
    for (int k = 0; k < w.shape.w; ++k) sum += raw(k);
  }
  __device__ float weight(int layer) const { return weights(0, 0, layer, channel); }
  __device__ float raw(int layer) const {
    return how == WeightNormalisation::softmax ? expf(weight(layer) - largest)
                                               : max(weight(layer), kWeightFloor);
  }
  __device__ float factor(int layer) const {
    return how == WeightNormalisation::none ? weight(layer) : raw(layer) / sum;
  }
};

// One thread per channel.
__global__ void shortcut_factors_kernel(View<const float> weights, View<float> factors,
                                        WeightNormalisation how) {
  const int c = global_thread();
  if (c >= factors.shape.c) return;
  const Column column(weights, how, c);
  for (int layer = 0; layer < factors.shape.w; ++layer) factors(0, 0, layer, c) = column.factor(layer);
}

// One block per tile of channels and chunk of rows: the chunk's sum of dy x.
template <class T, int N>
__global__ void shortcut_products_kernel(View<const T> dy, View<const T> x, View<float> partial) {
  const int c = tile_pack<N>(), both = min(dy.shape.c, x.shape.c);
  float sums[N] = {};
  if (c < both) {
    const Rows rows = rows_of_block(dy.shape.rows());
    for (int row = rows.first + int(threadIdx.y); row < rows.last; row += blockDim.y) {
      const Floats<N> gradients = load<N>(dy, row * dy.shape.c + c), values = load<N>(x, row * x.shape.c + c);
      for (int k = 0; k < N; ++k) sums[k] += gradients[k] * values[k];
    }
  }
  reduce_columns(sums, dynamic_shared<float>());
  if (threadIdx.y != 0 || c >= both) return;
  for (int k = 0; k < N; ++k) partial(0, 0, int(blockIdx.y), c + k) = sums[k];
}

// One block per tile of channels, a thread for every sixteenth chunk of one channel.
__global__ void shortcut_factor_gradients_kernel(View<const float> partial, View<float> factor_gradients,
                                                 int layer, int both) {
  const int c = tile_channel();
  double sum = 0;
  if (c < both)
    for (int k = threadIdx.y; k < partial.shape.w; k += kTileRows) sum += partial(0, 0, k, c);
  sum = tile_sum(sum);
  if (threadIdx.y == 0 && c < partial.shape.c) factor_gradients(0, 0, layer, c) = float(sum);
}

// One block per layer: where a layer has one weight, its gradient counts for all channels together, and comes
// to lie at the first.
__global__ void shortcut_channel_totals_kernel(View<float> factor_gradients) {
  const int layer = blockIdx.x;
  double sum = 0;
  for (int c = threadIdx.x; c < factor_gradients.shape.c; c += blockDim.x)
    sum += factor_gradients(0, 0, layer, c);
  sum = block_sum(sum);  // its barriers let all threads read before one writes
  if (threadIdx.x == 0) factor_gradients(0, 0, layer, 0) = float(sum);
}

// One thread per column of weights. In softmax the largest weight also moves the maximum that is subtracted,
// which matters because of the epsilon.
__global__ void shortcut_weight_gradients_kernel(View<const float> weights,
                                                 View<const float> factor_gradients,
                                                 View<float> weight_gradients, WeightNormalisation how) {
  const int c = global_thread();
  if (c >= weights.shape.c) return;
  const Column column(weights, how, c);
  float mean = 0;  // of the factors' gradients, weighted by the factors
  for (int layer = 0; layer < weights.shape.w; ++layer)
    mean += factor_gradients(0, 0, layer, c) * column.factor(layer);
  bool moved = false;
  for (int layer = 0; layer < weights.shape.w; ++layer) {
    const float g = factor_gradients(0, 0, layer, c);
    float& gradient = weight_gradients(0, 0, layer, c);
    if (how == WeightNormalisation::none) {
      gradient += g;
    } else if (how == WeightNormalisation::softmax) {
      gradient += column.factor(layer) * (g - mean);
      if (!moved && column.weight(layer) == column.largest) {
        gradient -= mean * kWeightEpsilon / column.sum;
        moved = true;
      }
    } else if (column.weight(layer) > kWeightFloor) {
      gradient += (g - mean) / column.sum;
    }
  }
}

}  // namespace

void shortcut_sum(Stream& s, Tensor a, Tensor b, Tensor y) {
  with_packs({y.shape.c, b.shape.c}, {y, a, b}, [&](auto value, auto length) {
    using T = decltype(value);
    constexpr int N = decltype(length)::value;
    launch<shortcut_sum_kernel<T, N>>(s, one_thread_each(y.size() / N), a.view<const T>(), b.view<const T>(),
                                      y.view<T>());
  });
}

void shortcut_scale(Stream& s, Tensor from, Tensor to, Factor factor) {
  with_packs({to.shape.c}, {to, from}, [&](auto value, auto length) {
    using T = decltype(value);
    constexpr int N = decltype(length)::value;
    launch<shortcut_scale_kernel<T, N>>(s, one_thread_each(to.size() / N), from.view<const T>(), to.view<T>(),
                                        factor);
  });
}

void shortcut_add(Stream& s, Tensor x, Tensor y, Factor factor, float alpha, Meeting m) {
  with_packs({x.shape.c, y.shape.c, m.c}, {x, y}, [&](auto value, auto length) {
    using T = decltype(value);
    constexpr int N = decltype(length)::value;
    launch<shortcut_add_kernel<T, N>>(s, one_thread_each(x.shape.n * m.h * m.w * m.c / N), x.view<const T>(),
                                      y.view<T>(), factor, alpha, m);
  });
}

void shortcut_backward(Stream& s, Tensor dy, Tensor dx, Factor factor, Meeting m) {
  with_packs({dx.shape.c, dy.shape.c, m.c}, {dx, dy}, [&](auto value, auto length) {
    using T = decltype(value);
    constexpr int N = decltype(length)::value;
    launch<shortcut_backward_kernel<T, N>>(s, one_thread_each(dx.shape.n * m.h * m.w * m.c / N),
                                           dy.view<const T>(), dx.view<T>(), factor, m);
  });
}

void shortcut_backward_overwrite(Stream& s, Tensor dy, Tensor dx, Factor factor, Meeting m) {
  with_packs({dx.shape.c, dy.shape.c, m.c}, {dx, dy}, [&](auto value, auto length) {
    using T = decltype(value);
    constexpr int N = decltype(length)::value;
    launch<shortcut_backward_overwrite_kernel<T, N>>(s, one_thread_each(dx.size() / N), dy.view<const T>(),
                                                     dx.view<T>(), factor, m);
  });
}

void shortcut_factors(Stream& s, View<const float> weights, View<float> factors, WeightNormalisation how) {
  launch<shortcut_factors_kernel>(s, one_thread_each(factors.shape.c), weights, factors, how);
}

void shortcut_factor_gradients(Stream& s, Tensor dy, Tensor x, View<float> factor_gradients, int layer,
                               View<float> partial) {
  assert(partial.shape == shortcut_partial(dy.shape));
  const int both = std::min(dy.shape.c, x.shape.c);
  with_packs({dy.shape.c, x.shape.c}, {dy, x}, [&](auto value, auto length) {
    using T = decltype(value);
    constexpr int N = decltype(length)::value;
    Grid grid = channel_tiles<N>(both, partial.shape.w);
    grid.shared_bytes = sizeof(float) * kTileThreads * N;
    launch<shortcut_products_kernel<T, N>>(s, grid, dy.view<const T>(), x.view<const T>(), partial);
  });
  launch<shortcut_factor_gradients_kernel>(s, one_block_per_channel_tile(dy.shape.c),
                                           View<const float>(partial), factor_gradients, layer, both);
}

void shortcut_weight_gradients(Stream& s, View<const float> weights, View<float> factor_gradients,
                               View<float> weight_gradients, WeightNormalisation how) {
  if (weights.shape.c < factor_gradients.shape.c)
    launch<shortcut_channel_totals_kernel>(s, Grid{dim3(unsigned(weights.shape.w)), dim3(256)},
                                           factor_gradients);
  launch<shortcut_weight_gradients_kernel>(s, one_thread_each(weights.shape.c), weights,
                                           View<const float>(factor_gradients), weight_gradients, how);
}

}  // namespace osprey::cuda
