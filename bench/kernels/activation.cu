// Batch norm's normalisation and the activation after it, four times: there is next to nothing to compute,
// so all that counts is how often each value crosses the chip, and in how many instructions.
//
//   y = leaky(scale (x - mean) / deviation + bias), with mean, deviation, scale and bias of the channel
//
//   1  one value per thread         two kernels, as two layers
//   2  packs of 16 bytes            a quarter of the instructions
//   3  fused                        one kernel: y is not written, read and written again
//   4  a thread keeps its channels  and loads what belongs to them once, for eight rows
#include "bench/kernels/counted.cuh"
#include "bench/kernels/ladder.h"

namespace osprey::bench {
namespace {

struct Parameters {
  Global<const float> mean, inverse_deviation, scale, bias;
};

// The parameters of N channels, in registers.
template <int N>
struct Channels {
  Reals<N> mean, inverse_deviation, scale, bias;

  __device__ Channels(const Parameters& p, int c)
      : mean(p.mean.pack<N>(c)),
        inverse_deviation(p.inverse_deviation.pack<N>(c)),
        scale(p.scale.pack<N>(c)),
        bias(p.bias.pack<N>(c)) {}
  __device__ Real normalised(int k, Real x) const {
    return scale[k] * ((x - mean[k]) * inverse_deviation[k]) + bias[k];
  }
};

__device__ inline Real leaky(Real x) { return x > Real(0) ? x : Real(0.1f) * x; }

// 1. and 2. One thread per pack, of one value or of four.
template <int N>
__global__ void normalise_kernel(Global<const float> x, Parameters parameters, Global<float> y) {
  const int i = global_thread() * N;
  if (i >= y.size()) return;
  const Channels<N> channels(parameters, i % y.view.shape.c);
  Reals<N> values = x.pack<N>(i);
  for (int k = 0; k < N; ++k) values[k] = channels.normalised(k, values[k]);
  y.store(i, values);
}

template <int N>
__global__ void leaky_kernel(Global<float> y) {
  const int i = global_thread() * N;
  if (i >= y.size()) return;
  Reals<N> values = y.pack<N>(i);
  for (int k = 0; k < N; ++k) values[k] = leaky(values[k]);
  y.store(i, values);
}

// 3. One thread per pack: what is already in registers needs no second kernel.
template <int N>
__global__ void fused_kernel(Global<const float> x, Parameters parameters, Global<float> y) {
  const int i = global_thread() * N;
  if (i >= y.size()) return;
  const Channels<N> channels(parameters, i % y.view.shape.c);
  Reals<N> values = x.pack<N>(i);
  for (int k = 0; k < N; ++k) values[k] = leaky(channels.normalised(k, values[k]));
  y.store(i, values);
}

// 4. One thread per pack of channels, for about eight rows: threadIdx.x lies over the channels, threadIdx.y
// over the rows. No division finds the channel, and four of five loads are gone.
constexpr int kThreads = 256, kRows = 8, kMostLanes = 32;

template <int N>
__global__ void columns_kernel(Global<const float> x, Parameters parameters, Global<float> y) {
  const int c = (blockIdx.x * blockDim.x + threadIdx.x) * N, count = y.view.shape.c;
  if (c >= count) return;
  const Channels<N> channels(parameters, c);
  const int first = blockIdx.y * blockDim.y * kRows + threadIdx.y;
  for (int r = 0; r < kRows; ++r) {
    const int row = first + r * blockDim.y;
    if (row >= y.view.shape.rows()) return;
    Reals<N> values = x.pack<N>(row * count + c);
    for (int k = 0; k < N; ++k) values[k] = leaky(channels.normalised(k, values[k]));
    y.store(row * count + c, values);
  }
}

Grid columns(Shape x, int pack) {
  const int packs = x.c / pack;
  int lanes = 1;
  while (lanes < packs && lanes < kMostLanes) lanes *= 2;
  const int rows = kThreads / lanes * kRows;
  return {dim3(unsigned((packs + lanes - 1) / lanes), unsigned((x.rows() + rows - 1) / rows)),
          dim3(unsigned(lanes), unsigned(kThreads / lanes))};
}

struct Layer {
  Shape shape;
  DeviceValues<float> values, mean, inverse_deviation, scale, bias, result;

  Global<const float> x() const { return View<const float>(values.view()); }
  Global<float> y() const { return result.view(); }
  Parameters parameters() const {
    return {View<const float>(mean.view()), View<const float>(inverse_deviation.view()),
            View<const float>(scale.view()), View<const float>(bias.view())};
  }
};

template <int N>
void two_kernels(Stream& s, const Layer& p) {
  start<normalise_kernel<N>>(s, one_thread_each(p.shape.size() / N), p.x(), p.parameters(), p.y());
  start<leaky_kernel<N>>(s, one_thread_each(p.shape.size() / N), p.y());
}

template <int N>
std::vector<Version> versions_of(const Layer& p) {
  return {
      {"one value per thread", [=](Stream& s) { two_kernels<1>(s, p); }},
      {"packs of 16 bytes", [=](Stream& s) { two_kernels<N>(s, p); }},
      {"fused",
       [=](Stream& s) {
         start<fused_kernel<N>>(s, one_thread_each(p.shape.size() / N), p.x(), p.parameters(), p.y());
       }},
      {"a thread keeps its channels",
       [=](Stream& s) { start<columns_kernel<N>>(s, columns(p.shape, N), p.x(), p.parameters(), p.y()); }},
  };
}

}  // namespace

Ladder activation_ladder(Stream& s, Shape in) {
  const auto x = uniform_values(in.size(), 1), mean = uniform_values(in.c, 2),
             inverse = uniform_values(in.c, 3, 0.5f, 2), scale = uniform_values(in.c, 4),
             bias = uniform_values(in.c, 5);
  Expected expected;
  for (int i = 0; i < in.size(); ++i) {
    const int c = i % in.c;
    const double scaled = double(scale[c]) * (double(x[i]) - mean[c]) * inverse[c], v = scaled + bias[c];
    expected.values.push_back(v > 0 ? v : 0.1 * v);
    // Four roundings of numbers no larger than these, and that of 0.1.
    expected.bounds.push_back(5 * 0x1p-24 * (std::fabs(scaled) + std::fabs(v)) + 1e-30);
  }
  const Shape channels = {1, 1, 1, in.c};
  const Layer p = {in,
                   {s, in, x},
                   {s, channels, mean},
                   {s, channels, inverse},
                   {s, channels, scale},
                   {s, channels, bias},
                   {s, in}};
  return {"activation",
          in.text(),
          4.5 * in.size(),  // leaky multiplies half of the values
          8.0 * in.size(),
          std::vector<float>(size_t(in.size()), NAN),
          p.result,
          std::move(expected),
          in.c % 4 == 0 ? versions_of<4>(p) : versions_of<1>(p)};
}

}  // namespace osprey::bench
