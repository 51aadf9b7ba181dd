#include "cuda/scale.h"

#include "cuda/block.cuh"
#include "cuda/channel_tiles.cuh"
#include "cuda/launch.h"
#include "cuda/pack.cuh"

namespace osprey::cuda {
namespace {

// One thread per pack of values.
template <class T, int N>
__global__ void scale_forward_kernel(View<const T> x, View<const float> scale, View<T> y) {
  const int i = global_thread() * N;
  if (i >= y.size()) return;
  Floats<N> values = load<N>(x, i);
  for (int k = 0; k < N; ++k) values[k] *= scale[0];
  store(y, i, values);
}

// One thread per pack of values.
template <class T, int N>
__global__ void scale_backward_kernel(View<const T> dy, View<const float> scale, View<T> dx) {
  const int i = global_thread() * N;
  if (i >= dx.size()) return;
  Floats<N> gradients = load<N>(dy, i);
  for (int k = 0; k < N; ++k) gradients[k] *= scale[0];
  store(dx, i, gradients, true);
}

// One block per chunk of the values: its sum of dy x.
template <class T>
__global__ void scale_sums_kernel(View<const T> x, View<const T> dy, View<float> partial) {
  const Rows chunk = chunk_rows(x.size(), int(blockIdx.x), int(gridDim.x));
  double sum = 0;
  for (int i = chunk.first + int(threadIdx.x); i < chunk.last; i += int(blockDim.x))
    sum += double(float(dy[i])) * double(float(x[i]));
  sum = block_sum(sum);
  if (threadIdx.x == 0) partial[int(blockIdx.x)] = float(sum);
}

// One block for the sums of all chunks: with atomics their order, hence the last bits, would change.
__global__ void scale_combine_kernel(View<const float> partial, View<float> dscale) {
  double sum = 0;
  for (int i = int(threadIdx.x); i < partial.size(); i += int(blockDim.x)) sum += partial[i];
  sum = block_sum(sum);
  if (threadIdx.x == 0) dscale[0] += float(sum);
}

constexpr unsigned kThreads = 256;

}  // namespace

void scale_forward(Stream& s, Tensor x, View<const float> scale, Tensor y) {
  with_packs({x.shape.size()}, {x, y}, [&](auto value, auto length) {
    using T = decltype(value);
    constexpr int N = length.value;
    launch<scale_forward_kernel<T, N>>(s, one_thread_each(x.shape.size() / N), x.view<const T>(), scale,
                                       y.view<T>());
  });
}

void scale_backward(Stream& s, Tensor x, View<const float> scale, Tensor dy, Tensor dx, View<float> partial,
                    View<float> dscale) {
  with_packs({x.shape.size()}, {x, dy, dx}, [&](auto value, auto length) {
    using T = decltype(value);
    constexpr int N = length.value;
    launch<scale_sums_kernel<T>>(s, Grid{dim3(unsigned(partial.size())), dim3(kThreads)}, x.view<const T>(),
                                 dy.view<const T>(), partial);
    if (dx)
      launch<scale_backward_kernel<T, N>>(s, one_thread_each(x.shape.size() / N), dy.view<const T>(), scale,
                                          dx.view<T>());
  });
  launch<scale_combine_kernel>(s, Grid{dim3(1), dim3(kThreads)}, View<const float>(partial), dscale);
}

}  // namespace osprey::cuda
