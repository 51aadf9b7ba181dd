#include "cuda/spp.h"

#include "cuda/launch.h"
#include "cuda/range_max.cuh"

namespace osprey::cuda {
namespace {

// One thread per pack of channels of a bin.
template <class T, int N>
__global__ void spp_forward_kernel(View<const T> x, View<T> y, View<int> winner, SppLevels levels) {
  const int i = global_thread() * N;
  if (i >= y.size()) return;
  const Pixel at = y.shape.pixel(i);
  int level = 0, bin = at.w;
  for (; bin >= levels.bins[level] * levels.bins[level]; ++level)
    bin -= levels.bins[level] * levels.bins[level];
  const int bins = levels.bins[level];
  store_range_max<N>(x, at.n, pooling_bin(bin / bins, x.shape.h, bins),
                     pooling_bin(bin % bins, x.shape.w, bins), y, winner, i);
}

// One thread per pack of channels of a cell, which collects from the bins over it. Bins share cells, so that
// scattering from them would need atomics, whose order changes from run to run.
template <class T, int N>
__global__ void spp_backward_kernel(View<const T> dy, View<const int> winner, View<T> dx, SppLevels levels) {
  const int i = global_thread() * N;
  if (i >= dx.size()) return;
  const auto [n, h, w, c] = dx.shape.pixel(i);
  Floats<N> sum = load<N>(dx, i);
  int first = 0;  // bin of the level
  for (int level = 0; level < levels.count; ++level) {
    const int bins = levels.bins[level];
    for (int p = 0; p < bins; ++p) {
      if (!pooling_bin(p, dx.shape.h, bins).overlaps(h, h)) continue;
      for (int q = 0; q < bins; ++q) {
        if (!pooling_bin(q, dx.shape.w, bins).overlaps(w, w)) continue;
        add_if_winner<N>(sum, dy, winner, dy.shape.index(n, 0, first + p * bins + q, c), h * dx.shape.w + w);
      }
    }
    first += bins * bins;
  }
  store(dx, i, sum);
}

}  // namespace

void spp_forward(Stream& s, Tensor x, Tensor y, View<int> winner, SppLevels levels) {
  with_packs({y.shape.c}, {x, y}, [&](auto value, auto length) {
    using T = decltype(value);
    constexpr int N = decltype(length)::value;
    launch<spp_forward_kernel<T, N>>(s, one_thread_each(y.size() / N), x.view<const T>(), y.view<T>(), winner,
                                     levels);
  });
}

void spp_backward(Stream& s, Tensor dy, View<const int> winner, Tensor dx, SppLevels levels) {
  with_packs({dx.shape.c}, {dy, dx}, [&](auto value, auto length) {
    using T = decltype(value);
    constexpr int N = decltype(length)::value;
    launch<spp_backward_kernel<T, N>>(s, one_thread_each(dx.size() / N), dy.view<const T>(), winner,
                                      dx.view<T>(), levels);
  });
}

}  // namespace osprey::cuda
