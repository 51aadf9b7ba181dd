#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "layers/simd/weight_gradient.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h
//
#include <algorithm>
#include <array>
#include <vector>

#include "core/parallel.h"
#include "layers/simd/outer_product-inl.h"
#include "layers/simd/weight_gradient.h"

HWY_BEFORE_NAMESPACE();
namespace osprey::simd::HWY_NAMESPACE {
namespace {

constexpr int kPixels = 384;  // whose products are summed in registers before they are added to memory

struct Problem {
  View<const float> x, dy;
  float* dweights;
  Convolution convolution;

  int channels() const { return x.shape.c / convolution.groups; }  // of a group, as the next two
  int filters() const { return dy.shape.c / convolution.groups; }
  int weights() const { return convolution.window.h.size * convolution.window.w.size * channels(); }
};

// What the weights [first, first + count) of a filter see at the pixels [begin, end) of y: panel[q][weight].
void gather(const Problem& p, int group, int first, int count, int begin, int end, float* panel) {
  const Window &h = p.convolution.window.h, &w = p.convolution.window.w;
  const Shape in = p.x.shape, out = p.dy.shape;
  const int channels = p.channels();
  struct Run {  // weights of one tap
    int tap_h, tap_w, channel, count;
  };
  std::array<Run, kPanel> runs;
  int run_count = 0;
  for (int at = first; at < first + count;) {
    const int tap = at / channels, channel = at % channels;
    const int length = std::min(channels - channel, first + count - at);
    runs[size_t(run_count++)] = {tap / w.size * h.dilation, tap % w.size * w.dilation, channel, length};
    at += length;
  }
  std::fill(panel, panel + int64_t(end - begin) * kPanel, 0.0f);
  Pixel at = out.pixel(begin * out.c);
  for (int q = begin; q < end; ++q, panel += kPanel) {
    float* to = panel;
    for (int r = 0; r < run_count; ++r) {
      const Run& run = runs[size_t(r)];
      const int y = h.start(at.h) + run.tap_h, x = w.start(at.w) + run.tap_w;
      if (y >= 0 && y < in.h && x >= 0 && x < in.w) {
        const float* from =
            p.x.data + ((int64_t(at.n) * in.h + y) * in.w + x) * in.c + group * channels + run.channel;
        if (run.count == kPanel) {
          OSPREY_UNROLL
          for (int v = 0; v < kVectors; ++v)
            hn::StoreU(hn::LoadU(kFloats, from + v * kLanes), kFloats, to + v * kLanes);
        } else {
          for (int i = 0; i < run.count; ++i) to[i] = from[i];
        }
      }
      to += run.count;
    }
    if (++at.w < out.w) continue;
    at.w = 0;
    if (++at.h < out.h) continue;
    at.h = 0;
    ++at.n;
  }
}

// dy of the filters [first, first + count) at the pixels [begin, end): rows[filter][q].
void transpose(const Problem& p, int first, int count, int begin, int end, float* rows) {
  const int filters = p.dy.shape.c;
  constexpr int kTogether = 16;  // filters whose values lie in one line of the cache
  for (int f = 0; f < count; f += kTogether) {
    const int last = std::min(f + kTogether, count);
    for (int q = begin; q < end; ++q) {
      const float* from = p.dy.data + int64_t(q) * filters + first;
      for (int k = f; k < last; ++k) rows[int64_t(k) * kPixels + (q - begin)] = from[k];
    }
  }
}

template <int P>
void add_tile(const float* rows, const float* panel, int pixels, float* dweights, int64_t filter_step,
              int weights) {
  const float* x[kRows];
  OSPREY_UNROLL
  for (int p = 0; p < P; ++p) x[p] = rows + p * kPixels;
  V sums[P][kVectors];
  clear(sums);
  add_outer_products<P, kVectors>(x, 1, pixels, panel, sums);
  if (weights == kPanel) {
    OSPREY_UNROLL
    for (int p = 0; p < P; ++p) {
      OSPREY_UNROLL
      for (int v = 0; v < kVectors; ++v) {
        float* to = dweights + p * filter_step + v * kLanes;
        hn::StoreU(hn::Add(hn::LoadU(kFloats, to), sums[p][v]), kFloats, to);
      }
    }
    return;
  }
  alignas(64) float values[kPanel];
  OSPREY_UNROLL
  for (int p = 0; p < P; ++p) {
    OSPREY_UNROLL
    for (int v = 0; v < kVectors; ++v) hn::Store(sums[p][v], kFloats, values + v * kLanes);
    for (int i = 0; i < weights; ++i) dweights[p * filter_step + i] += values[i];
  }
}
template <int... P>
constexpr auto tiles(std::integer_sequence<int, P...>) {
  return std::array{add_tile<P + 1>...};
}
constexpr auto kTiles = tiles(std::make_integer_sequence<int, kRows>());

int filter_tiles(const Problem& p) { return (p.filters() + kRows - 1) / kRows; }

int weight_panels(const Problem& p) { return (p.weights() + kPanel - 1) / kPanel; }

// A part of the weights: the tiles [first, last), counted panel by panel.
void add_part(const Problem& p, int group, int first, int last) {
  thread_local std::vector<float> panel, rows;  // they grow with the first networks, and no more
  panel.resize(std::max(panel.size(), size_t(kPixels * kPanel)));
  rows.resize(std::max(rows.size(), size_t(p.filters()) * kPixels));
  const int in_panel = filter_tiles(p), weights = p.weights(), pixels = p.dy.shape.rows();
  const int first_filter = group * p.filters();
  for (int begin = 0; begin < pixels; begin += kPixels) {
    const int end = std::min(begin + kPixels, pixels);
    transpose(p, first_filter, p.filters(), begin, end, rows.data());
    for (int t = first; t < last;) {
      const int at = t / in_panel * kPanel, count = std::min(kPanel, weights - at);
      gather(p, group, at, count, begin, end, panel.data());
      for (const int panel_end = std::min(last, (t / in_panel + 1) * in_panel); t < panel_end; ++t) {
        const int f = t % in_panel * kRows, filters = std::min(kRows, p.filters() - f);
        kTiles[size_t(filters - 1)](rows.data() + int64_t(f) * kPixels, panel.data(), end - begin,
                                    p.dweights + int64_t(first_filter + f) * weights + at, weights, count);
      }
    }
  }
}

}  // namespace

void add_weight_gradient(View<const float> x, View<const float> dy, float* dweights, const Convolution& c) {
  const Problem p{x, dy, dweights, c};
  for (int g = 0; g < c.groups; ++g)
    parallel_for(int64_t(weight_panels(p)) * filter_tiles(p), 1,
                 [&](int64_t first, int64_t last) { add_part(p, g, int(first), int(last)); });
}

}  // namespace osprey::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace osprey::simd {

HWY_EXPORT(add_weight_gradient);

void weight_gradient(View<const float> x, View<const float> dy, View<float> dweights, const Convolution& c) {
  HWY_DYNAMIC_DISPATCH(add_weight_gradient)(x, dy, dweights.data, c);
}

}  // namespace osprey::simd
#endif
