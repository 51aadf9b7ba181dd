#include "cuda/depthwise.h"

#include "cuda/convolution.cuh"
#include "cuda/pack.cuh"

namespace osprey::cuda {
namespace {

// One thread per pack of N neighbouring filters of an output pixel. Packs of more than one are for one
// channel to a group, so that the inputs lie side by side as well.
template <class T, class R, int N>
__global__ void depthwise_forward_kernel(View<const T> x, View<const T> weights, View<R> y, Window2 window,
                                         int filters, Finish<R> finish) {
  const int i = global_thread() * N;
  if (i >= y.size()) return;
  const auto [n, oh, ow, f] = y.shape.pixel(i);
  const int inputs = weights.shape.c, first = f / filters * inputs;
  Floats<N> sums = {};
  for (int p = 0; p < window.h.size; ++p) {
    const int h = window.h.start(oh) + p * window.h.dilation;
    if (h < 0 || h >= x.shape.h) continue;
    for (int q = 0; q < window.w.size; ++q) {
      const int w = window.w.start(ow) + q * window.w.dilation;
      if (w < 0 || w >= x.shape.w) continue;
      for (int ch = 0; ch < inputs; ++ch) {
        const Floats<N> values = load<N>(x, x.shape.index(n, h, w, first + ch));
        for (int k = 0; k < N; ++k) sums[k] += values[k] * float(weights(f + k, p, q, ch));
      }
    }
  }
  Floats<N> residual = {};
  if (finish.residual) residual = load<N>(finish.residual, i);
  for (int k = 0; k < N; ++k) sums[k] = finish(sums[k], residual[k], f + k);
  store(y, i, sums);
}

// The output whose tap t lies on an input, or -1 if that tap of no output does.
__device__ inline int output_over(const Window& window, int input, int t, int outputs) {
  const int distance = input + window.before - t * window.dilation;
  const int output = distance / window.stride;
  return distance >= 0 && distance % window.stride == 0 && output < outputs ? output : -1;
}

// One thread per pack of N neighbouring channels of an input pixel, which collects from every output that has
// seen it. Scattering from the outputs would need atomics.
template <class T, int N>
__global__ void depthwise_backward_data_kernel(View<const T> dy, View<const T> weights, View<T> dx,
                                               Window2 window, int filters, bool add) {
  const int i = global_thread() * N;
  if (i >= dx.size()) return;
  const auto [n, h, w, c] = dx.shape.pixel(i);
  const int inputs = weights.shape.c, first = c / inputs * filters, ch = c % inputs;
  Floats<N> sums = {};
  for (int p = 0; p < window.h.size; ++p) {
    const int oh = output_over(window.h, h, p, dy.shape.h);
    if (oh < 0) continue;
    for (int q = 0; q < window.w.size; ++q) {
      const int ow = output_over(window.w, w, q, dy.shape.w);
      if (ow < 0) continue;
      for (int f = first; f < first + filters; ++f) {
        const Floats<N> gradients = load<N>(dy, dy.shape.index(n, oh, ow, f));
        for (int k = 0; k < N; ++k) sums[k] += gradients[k] * float(weights(f + k, p, q, ch));
      }
    }
  }
  store(dx, i, sums, add);
}

constexpr int kFilters = 32, kLines = 8;

// What thread (filter, line) of a block sums for one weight of its filter: the pixels of every kLines-th line
// of images from `first` on.
template <class T>
__device__ float sum_of_lines(const View<const T>& x, const View<const T>& dy, const Window2& window,
                              const Pixel& weight, int channel, int first, int last) {
  float sum = 0;
  for (int line = first + int(threadIdx.y); line < last; line += kLines) {
    const int n = line / dy.shape.h, oh = line % dy.shape.h;
    const int h = window.h.start(oh) + weight.h * window.h.dilation;
    if (h < 0 || h >= x.shape.h) continue;
    for (int ow = 0; ow < dy.shape.w; ++ow) {
      const int w = window.w.start(ow) + weight.w * window.w.dilation;
      if (w >= 0 && w < x.shape.w) sum += float(dy(n, oh, ow, weight.n)) * float(x(n, h, w, channel));
    }
  }
  return sum;
}

// One block per kFilters filters, tap and part of the lines of all images; thread (filter, line) sums every
// kLines-th line, and then the first line of threads adds up its filters' sums, in order.
template <class T>
__global__ void depthwise_backward_weights_kernel(View<const T> x, View<const T> dy, Shape weights,
                                                  View<float> result, Window2 window, int filters) {
  float(*sums)[kFilters] = dynamic_shared<float[kFilters]>();
  const int f = int(blockIdx.x) * kFilters + int(threadIdx.x), parts = int(gridDim.z), part = int(blockIdx.z);
  const Pixel weight =
      weights.pixel(min(f, weights.n - 1) * weights.h * weights.w * weights.c + int(blockIdx.y));
  const int lines = dy.shape.n * dy.shape.h, each = (lines + parts - 1) / parts, first = part * each;
  const int last = f < weights.n ? min(first + each, lines) : 0;  // the rest keep the barrier company
  const int channel = weight.n / filters * weights.c + weight.c;
  sums[threadIdx.y][threadIdx.x] = sum_of_lines(x, dy, window, weight, channel, first, last);
  __syncthreads();  // all sums are there
  if (threadIdx.y != 0 || f >= weights.n) return;
  float sum = 0;
  for (int line = 0; line < kLines; ++line) sum += sums[line][threadIdx.x];
  const int at = part * weights.size() + weights.index(weight.n, weight.h, weight.w, weight.c);
  result[at] = parts == 1 ? result[at] + sum : sum;
}

// The length of packs: more than 1 only where each group has one channel on either side.
template <class Body>
void with_depthwise_pack(Type type, int inputs, int filters, int channels,
                         std::initializer_list<Tensor> tensors, Body&& body) {
  with_type(type, [&](auto value) {
    const int packable = inputs == 1 && filters == 1 ? channels : 1;
    with_pack<decltype(value)>({packable}, tensors, [&](auto length) { body(value, length); });
  });
}

}  // namespace

void depthwise_forward(Stream& s, Tensor x, Tensor weights, const Epilogue& epilogue, Tensor y,
                       const Convolution& c) {
  const int filters = y.shape.c / c.groups, inputs = x.shape.c / c.groups;
  const auto all = {x, y, epilogue.residual};
  with_depthwise_pack(x.type, inputs, filters, y.shape.c, all, [&](auto value, auto length) {
    using T = decltype(value);
    constexpr int N = length.value;
    with_type(y.type, [&](auto result) {
      using R = decltype(result);
      launch<depthwise_forward_kernel<T, R, N>>(s, one_thread_each(y.size() / N), x.view<const T>(),
                                                weights.view<const T>(), y.view<R>(), c.window, filters,
                                                Finish<R>(epilogue));
    });
  });
}

void depthwise_backward_data(Stream& s, Tensor dy, Tensor weights, Tensor dx, bool add,
                             const Convolution& c) {
  const int filters = dy.shape.c / c.groups, inputs = dx.shape.c / c.groups;
  with_depthwise_pack(dx.type, inputs, filters, dx.shape.c, {dy, dx}, [&](auto value, auto length) {
    using T = decltype(value);
    constexpr int N = length.value;
    launch<depthwise_backward_data_kernel<T, N>>(s, one_thread_each(dx.size() / N), dy.view<const T>(),
                                                 weights.view<const T>(), dx.view<T>(), c.window, filters,
                                                 add);
  });
}

int depthwise_parts(Shape y, Shape weights) {
  constexpr int kBlocks = 528, kLeast = 2 * kLines;  // four blocks to each multiprocessor of a large GPU
  const int blocks = (weights.n + kFilters - 1) / kFilters * weights.h * weights.w * weights.c;
  return max(1, min((kBlocks + blocks - 1) / blocks, y.n * y.h / kLeast));
}

void depthwise_backward_weights(Stream& s, Tensor x, Tensor dy, Shape weights, View<float> sums,
                                const Convolution& c) {
  const unsigned tiles = unsigned((weights.n + kFilters - 1) / kFilters);
  const Grid grid = {
      dim3(tiles, unsigned(weights.h * weights.w * weights.c), unsigned(depthwise_parts(dy.shape, weights))),
      dim3(kFilters, kLines), sizeof(float) * kFilters * kLines};
  with_type(x.type, [&](auto value) {
    using T = decltype(value);
    launch<depthwise_backward_weights_kernel<T>>(s, grid, x.view<const T>(), dy.view<const T>(), weights,
                                                 sums, c.window, weights.n / c.groups);
  });
}

}  // namespace osprey::cuda
