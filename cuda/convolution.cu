#include "cuda/convolution.h"

#include "cuda/block.cuh"
#include "cuda/channel_tiles.cuh"
#include "cuda/convolution.cuh"
#include "cuda/depthwise.h"
#include "cuda/gemm.cuh"

namespace osprey::cuda {
namespace {

// What the three products of a convolution have in common. `pixels` and `taps` are the Places of an image
// that a window slides over; a pixel's Place and a tap's lead to the element under this tap.
struct Geometry {
  Shape x, y;
  Window2 window;
  int groups, inputs, filters;  // channels of a group
  int taps;                     // of a window, in all channels of the group

  Geometry(const Convolution& c, Shape x, Shape y)
      : x(x),
        y(y),
        window(c.window),
        groups(c.groups),
        inputs(x.c / c.groups),
        filters(y.c / c.groups),
        taps(c.window.h.size * c.window.w.size * inputs) {}

  // In x: where the window of an output pixel starts, in the first channel of the group.
  __device__ Place pixel_in_x(int pixel, int group) const {
    const int n = pixel / (y.h * y.w), oh = pixel / y.w % y.h, ow = pixel % y.w;
    const int h = window.h.start(oh), w = window.w.start(ow);
    return {x.index(n, h, w, group * inputs), h, w};
  }
  // In x: how far a tap is from the start of its window.
  __device__ Place tap_in_x(int tap) const {
    const int ch = tap % inputs, q = tap / inputs % window.w.size, p = tap / inputs / window.w.size;
    const int h = p * window.h.dilation, w = q * window.w.dilation;
    return {(h * x.w + w) * x.c + ch, h, w};
  }
};

// Rows: output pixels of all images; columns: filters of a group; depth: taps. z is the group.
template <class T, class R, int N>
struct Forward {
  using Value = T;
  using Result = R;
  static constexpr int kPack = N;
  static constexpr bool kAAlongDepth = true, kBAlongDepth = true;

  Geometry g;
  Factor<T> a, b;
  View<R> c;
  View<const R> before;
  Finish<R> finished;
  int rows, columns, first = 0, last, group = 0;

  Forward(const Geometry& g, View<const T> x, View<const T> weights, View<R> y, const Epilogue& e)
      : g(g),
        a{x, g.x.h, g.x.w},
        b{weights},
        c(y),
        before(e.residual),
        finished(e),
        rows(g.y.rows()),
        columns(g.filters),
        last(g.taps) {}

  __device__ void enter(int z) { group = z; }
  __device__ Place a_row(int pixel) const { return g.pixel_in_x(pixel, group); }
  __device__ Place a_depth(int tap) const { return g.tap_in_x(tap); }
  __device__ Place b_column(int filter) const { return {(group * g.filters + filter) * g.taps, 0, 0}; }
  __device__ Place b_depth(int tap) const { return {tap, 0, 0}; }
  __device__ int c_row(int pixel) const { return pixel * g.y.c + group * g.filters; }
  __device__ float finish(float sum, float residual, int filter) const {
    return finished(sum, residual, group * g.filters + filter);
  }
};

// The inputs of one axis that lie `phase` (modulo the stride) behind the start of a window, and the taps that
// meet them, which are no others: output o has its tap t on input o * stride - before + t * dilation. So no
// product is made in vain where the stride is not 1.
struct Phase {
  int input = 0, inputs = 0;            // the first of them, and their number; the next is a stride further
  int tap = 0, taps = 0, tap_step = 0;  // likewise
  int output = 0;                       // the one that would have a tap at distance `phase` on that input
  int phase = 0;

  Phase() = default;
  __device__ Phase(const Window& window, int size, int phase) : phase(phase) {
    const int behind = (phase - window.before) % window.stride;
    input = behind < 0 ? behind + window.stride : behind;
    inputs = input < size ? (size - input - 1) / window.stride + 1 : 0;
    output = (input + window.before - phase) / window.stride;
    for (int t = window.size - 1; t >= 0; --t) {
      if (t * window.dilation % window.stride != phase) continue;
      tap_step = tap - t;
      tap = t;
      ++taps;
    }
  }
  __device__ int tap_at(int i) const { return tap + i * tap_step; }
  // How many outputs before that one have tap t on the input.
  __device__ int outputs_before(const Window& window, int t) const {
    return (t * window.dilation - phase) / window.stride;
  }
};

// Rows: input pixels of one phase in h and w, of all images; columns: input channels of a group; depth: taps
// of the phase, each in all filters of the group. z is group and phases.
template <class T, int N>
struct BackwardData {
  using Value = T;
  using Result = T;
  static constexpr int kPack = N;
  static constexpr bool kAAlongDepth = true, kBAlongDepth = false;

  Geometry g;
  Factor<T> a, b;
  View<T> c;
  View<const T> before;
  int rows, columns, first = 0, last = 0, group = 0;
  Phase h, w;

  BackwardData(const Geometry& g, View<const T> dy, View<const T> weights, View<T> dx, bool add)
      : g(g),
        a{dy, g.y.h, g.y.w},
        b{weights},
        c(dx),
        before(add ? View<const T>(dx) : View<const T>()),
        rows(g.x.n * ((g.x.h - 1) / g.window.h.stride + 1) * ((g.x.w - 1) / g.window.w.stride + 1)),
        columns(g.inputs) {}

  int parts() const { return g.groups * g.window.h.stride * g.window.w.stride; }
  __device__ void enter(int z) {
    const int strides_w = g.window.w.stride, strides_h = g.window.h.stride;
    w = Phase(g.window.w, g.x.w, z % strides_w);
    h = Phase(g.window.h, g.x.h, z / strides_w % strides_h);
    group = z / strides_w / strides_h;
    last = h.taps * w.taps * g.filters;
    rows = last == 0 && before ? 0 : g.x.n * h.inputs * w.inputs;  // nothing to add is no work
  }
  __device__ Place a_row(int i) const {
    const int n = i / (h.inputs * w.inputs), oh = h.output + i / w.inputs % h.inputs,
              ow = w.output + i % w.inputs;
    return {g.y.index(n, oh, ow, group * g.filters), oh, ow};
  }
  __device__ Place a_depth(int k) const {
    const int f = k % g.filters, q = k / g.filters % w.taps, p = k / g.filters / w.taps;
    const int oh = -h.outputs_before(g.window.h, h.tap_at(p)),
              ow = -w.outputs_before(g.window.w, w.tap_at(q));
    return {(oh * g.y.w + ow) * g.y.c + f, oh, ow};
  }
  __device__ Place b_column(int ch) const { return {ch, 0, 0}; }
  __device__ Place b_depth(int k) const {
    const int f = k % g.filters, q = w.tap_at(k / g.filters % w.taps), p = h.tap_at(k / g.filters / w.taps);
    return {(group * g.filters + f) * g.taps + (p * g.window.w.size + q) * g.inputs, 0, 0};
  }
  __device__ int c_row(int i) const {
    const int n = i / (h.inputs * w.inputs), ih = h.input + i / w.inputs % h.inputs * g.window.h.stride,
              iw = w.input + i % w.inputs * g.window.w.stride;
    return g.x.index(n, ih, iw, group * g.inputs);
  }
  __device__ float finish(float sum, float before, int) const { return sum + before; }
};

// How many parts the pixels are cut into when weights get their gradient: there are far more pixels than
// weights, and a GPU wants some hundred blocks to be busy.
struct Split {
  int parts, pixels;  // of a part

  Split(const Geometry& g) {
    constexpr int kBlocks = 528, kLeast = 8 * kDepth;  // four blocks to each multiprocessor of a large GPU
    const auto tiles = [](int size) { return (size + kTile - 1) / kTile; };
    const int blocks = tiles(g.filters) * tiles(g.taps) * g.groups, all = g.y.rows();
    const int wanted = min((kBlocks + blocks - 1) / blocks, (all + kLeast - 1) / kLeast);
    pixels = ((all + wanted - 1) / wanted + kDepth - 1) / kDepth * kDepth;
    parts = (all + pixels - 1) / pixels;
  }
};

// Rows: filters of a group; columns: taps; depth: output pixels of one part, of all images. z is group and
// part. A part's sums are stored apart, and added up in order by another kernel: with atomics the order,
// hence the last bits, would change from run to run.
template <class T, int N>
struct BackwardWeights {
  using Value = T;
  using Result = float;
  static constexpr int kPack = N;
  static constexpr bool kAAlongDepth = false, kBAlongDepth = false;

  Geometry g;
  Split split;
  Factor<T> a, b;
  View<float> c;
  View<const float> before;
  int rows, columns, first = 0, last = 0, group = 0, part = 0;

  // `sums` are the gradients themselves, to be added to, if there is one part, otherwise those of all parts.
  BackwardWeights(const Geometry& g, const Split& split, View<const T> x, View<const T> dy, View<float> sums)
      : g(g),
        split(split),
        a{dy},
        b{x, g.x.h, g.x.w},
        c(sums),
        before(split.parts == 1 ? View<const float>(sums) : View<const float>()),
        rows(g.filters),
        columns(g.taps) {}

  __device__ void enter(int z) {
    group = z % g.groups;
    part = z / g.groups;
    first = part * split.pixels;
    last = min(first + split.pixels, g.y.rows());
  }
  __device__ Place a_row(int filter) const { return {group * g.filters + filter, 0, 0}; }
  __device__ Place a_depth(int pixel) const { return {pixel * g.y.c, 0, 0}; }
  __device__ Place b_column(int tap) const { return g.tap_in_x(tap); }
  __device__ Place b_depth(int pixel) const { return g.pixel_in_x(pixel, group); }
  __device__ int c_row(int filter) const { return (part * g.y.c + group * g.filters + filter) * g.taps; }
  __device__ float finish(float sum, float before, int) const { return sum + before; }
};

// One thread per value.
__global__ void add_parts_kernel(View<const float> parts, int count, View<float> total) {
  const int i = global_thread();
  if (i >= total.size()) return;
  float sum = 0;
  for (int part = 0; part < count; ++part) sum += parts[part * total.size() + i];
  total[i] += sum;
}

// One block per tile of channels and chunk of rows: the chunk's sums.
template <class T, int N>
__global__ void bias_sums_kernel(View<const T> dy, View<float> partial) {
  const int c = tile_pack<N>(), channels = dy.shape.c;
  const Rows rows = rows_of_block(dy.shape.rows());
  double sums[N] = {};
  if (c < channels)
    for (int row = rows.first + int(threadIdx.y); row < rows.last; row += blockDim.y) {
      const Floats<N> values = load<N>(dy, row * channels + c);
      for (int k = 0; k < N; ++k) sums[k] += values[k];
    }
  reduce_columns(sums, dynamic_shared<double>());
  if (threadIdx.y != 0 || c >= channels) return;
  for (int k = 0; k < N; ++k) partial(0, int(blockIdx.y), 0, c + k) = float(sums[k]);
}

// One block per tile of channels, a thread for every sixteenth chunk of one channel.
__global__ void bias_combine_kernel(View<const float> partial, View<float> dbias) {
  const int c = tile_channel(), channels = partial.shape.c;
  const int mine = c < channels ? partial.shape.h : 0;  // the rest only keep the barriers company
  double sum = 0;
  for (int k = threadIdx.y; k < mine; k += kTileRows) sum += partial(0, k, 0, c);
  sum = tile_sum(sum);
  if (threadIdx.y == 0 && c < channels) dbias[c] += float(sum);
}

// Whether rows of results, of `length` values, may be written in packs.
bool packed(int length, std::initializer_list<Tensor> tensors) {
  bool whole = length % 4 == 0;
  for (const Tensor& t : tensors) whole = whole && reinterpret_cast<uintptr_t>(t.data) % kPackBytes == 0;
  return whole;
}

}  // namespace

void convolution_forward(Stream& s, Tensor x, Tensor weights, Epilogue epilogue, Tensor y, Convolution c) {
  if (few_channels(x.shape, y.shape.c, c)) return depthwise_forward(s, x, weights, epilogue, y, c);
  const Geometry g(c, x.shape, y.shape);
  with_types(x.type, y.type, [&](auto value, auto result) {
    using T = decltype(value);
    with_pack<T>({g.inputs}, {x, weights}, [&](auto length) {
      const Forward<T, decltype(result), length.value> product(g, x, weights, y, epilogue);
      launch_product(s, product, g.groups, packed(g.filters, {y, epilogue.residual}));
    });
  });
}

void convolution_backward_data(Stream& s, Tensor dy, Tensor weights, Tensor dx, bool add, Convolution c) {
  if (few_channels(dx.shape, dy.shape.c, c)) return depthwise_backward_data(s, dy, weights, dx, add, c);
  const Geometry g(c, dx.shape, dy.shape);
  with_packs({g.inputs, g.filters}, {dy, weights}, [&](auto value, auto length) {
    const BackwardData<decltype(value), length.value> product(g, dy, weights, dx, add);
    launch_product(s, product, product.parts(), packed(g.inputs, {dx}));
  });
}

namespace {

int parts_of(const Geometry& g, const Convolution& c) {
  if (few_channels(g.x, g.y.c, c)) return depthwise_parts(g.y, c.weights(g.x, g.y.c));
  return Split(g).parts;
}

}  // namespace

int convolution_scratch(Shape x, int filters, const Convolution& c) {
  const int parts = parts_of(Geometry(c, x, c.output(x, filters)), c);
  return parts == 1 ? 0 : parts * c.weights(x, filters).size();
}

void convolution_backward_weights(Stream& s, Tensor x, Tensor dy, View<float> dweights, View<float> scratch,
                                  Convolution c) {
  const Geometry g(c, x.shape, dy.shape);
  const int parts = parts_of(g, c);
  const View<float> sums = parts == 1 ? dweights : scratch;
  if (few_channels(x.shape, dy.shape.c, c)) {
    depthwise_backward_weights(s, x, dy, c.weights(x.shape, dy.shape.c), sums, c);
  } else {
    with_packs({g.inputs, g.filters}, {x, dy}, [&](auto value, auto length) {
      const BackwardWeights<decltype(value), length.value> product(g, Split(g), x, dy, sums);
      launch_product(s, product, g.groups * parts, packed(g.taps, {sums}));
    });
  }
  if (parts > 1)
    launch<add_parts_kernel>(s, one_thread_each(dweights.size()), View<const float>(scratch), parts,
                             dweights);
}

void bias_backward(Stream& s, Tensor dy, View<float> dbias, View<float> partial) {
  with_packs({dy.shape.c}, {dy}, [&](auto value, auto length) {
    using T = decltype(value);
    constexpr int N = length.value;
    Grid grid = channel_tiles<N>(dy.shape.c, partial.shape.h);
    grid.shared_bytes = kTileThreads * N * sizeof(double);
    launch<bias_sums_kernel<T, N>>(s, grid, dy.view<const T>(), partial);
  });
  launch<bias_combine_kernel>(s, one_block_per_channel_tile(dy.shape.c), View<const float>(partial), dbias);
}

}  // namespace osprey::cuda
