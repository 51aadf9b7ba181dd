#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "layers/simd/weight_gradient.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h
//
#include <algorithm>
#include <array>
#include <vector>

#include "core/parallel.h"
#include "layers/simd/epilogue-inl.h"
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
  bool rounds;

  int channels() const { return x.shape.c / convolution.groups; }  // of a group, as the next two
  int filters() const { return dy.shape.c / convolution.groups; }
  int weights() const { return convolution.window.h.size * convolution.window.w.size * channels(); }
};

// Weights that lie side by side, and so do the values of x that they see: of some channels of one tap, or of
// neighbouring taps.
struct Run {
  int tap_h, tap_w, channel, count;
  int taps;  // that must be inside of the image

  bool inside(int y, int x, const Shape& in) const {
    return y + tap_h >= 0 && y + tap_h < in.h && x + tap_w >= 0 && x + tap_w + taps <= in.w;
  }
};

struct Runs {
  std::array<Run, kPanel> runs;
  int count = 0;

  void add(const Run& run) { runs[size_t(count++)] = run; }
};

// Of the weights [first, first + count) of a filter; with `together` taps of a row of the window are one run.
Runs runs_of(const Problem& p, int first, int count, bool together) {
  const Window &h = p.convolution.window.h, &w = p.convolution.window.w;
  const int channels = p.channels();
  Runs result;
  for (int at = first; at < first + count;) {
    const int tap = at / channels, channel = at % channels, column = tap % w.size;
    const int end = together ? (tap - column + w.size) * channels : (tap + 1) * channels;
    const int length = std::min(end, first + count) - at;
    result.add({tap / w.size * h.dilation, column * w.dilation, channel, length,
                (channel + length + channels - 1) / channels});
    at += length;
  }
  return result;
}

HWY_INLINE void copy_run(const float* from, int count, float* to) {
  if (count == kPanel) {
    OSPREY_UNROLL
    for (int v = 0; v < kPanel; v += kLanes) hn::StoreU(hn::LoadU(kFloats, from + v), kFloats, to + v);
    return;
  }
  for (int i = 0; i < count; i += kLanes) store_first(load_first(from + i, count - i), to + i, count - i);
}

// What the weights [first, first + count) of a filter see at the pixels [begin, end) of y: panel[q][weight].
void gather(const Problem& p, int group, int first, int count, int begin, int end, float* panel) {
  const Window &h = p.convolution.window.h, &w = p.convolution.window.w;
  const Shape in = p.x.shape, out = p.dy.shape;
  const Runs taps = runs_of(p, first, count, false);
  const Runs rows = p.convolution.groups == 1 && w.dilation == 1 ? runs_of(p, first, count, true) : taps;
  std::fill(panel, panel + int64_t(end - begin) * kPanel, 0.0f);
  Pixel at = out.pixel(begin * out.c);
  for (int q = begin; q < end; ++q, panel += kPanel) {
    const int y = h.start(at.h), x = w.start(at.w);
    const float* origin = p.x.data + ((int64_t(at.n) * in.h + y) * in.w + x) * in.c + group * p.channels();
    const bool whole = x >= 0 && x + w.reach() <= in.w;
    const Runs& runs = whole ? rows : taps;
    float* to = panel;
    for (int r = 0; r < runs.count; ++r) {
      const Run& run = runs.runs[size_t(r)];
      if (run.inside(y, x, in))
        copy_run(origin + (int64_t(run.tap_h) * in.w + run.tap_w) * in.c + run.channel, run.count, to);
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

// rows[filter][q], of `filters` filters, in bf16; zeros after the last pixel.
void round_rows(float* rows, int filters, int pixels, bf16* to) {
  for (int f = 0; f < filters; ++f, rows += kPixels, to += kPixels) {
    std::fill(rows + pixels, rows + kPixels, 0.0f);
    round_row(rows, kPixels, to);
  }
}

template <int P>
HWY_INLINE void add_sums(const V (&sums)[P][kVectors], float* dweights, int64_t filter_step, int weights) {
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

template <int P>
void add_tile(const float* rows, const float* panel, int pixels, float* dweights, int64_t filter_step,
              int weights) {
  const float* x[kRows];
  OSPREY_UNROLL
  for (int p = 0; p < P; ++p) x[p] = rows + p * kPixels;
  V sums[P][kVectors];
  clear(sums);
  add_outer_products<P, kVectors>(x, 1, pixels, panel, sums);
  add_sums<P>(sums, dweights, filter_step, weights);
}
template <int P>
OSPREY_BF16_PRODUCTS void add_tile(const bf16* rows, const bf16* panel, int pixels, float* dweights,
                                   int64_t filter_step, int weights) {
  const bf16* x[kRows];
  OSPREY_UNROLL
  for (int p = 0; p < P; ++p) x[p] = rows + p * kPixels;
  V sums[P][kVectors];
  clear(sums);
  add_outer_products<P, kVectors>(x, 1, (pixels + 1) / 2, panel, sums);
  add_sums<P>(sums, dweights, filter_step, weights);
}

template <class T>
using AddTile = void (*)(const T* rows, const T* panel, int pixels, float* dweights, int64_t filter_step,
                         int weights);
template <class T, int... P>
constexpr std::array<AddTile<T>, sizeof...(P)> tiles(std::integer_sequence<int, P...>) {
  return {add_tile<P + 1>...};
}
template <class T>
constexpr auto kTiles = tiles<T>(std::make_integer_sequence<int, kRows>());

int filter_tiles(const Problem& p) { return (p.filters() + kRows - 1) / kRows; }

int weight_panels(const Problem& p) { return (p.weights() + kPanel - 1) / kPanel; }

// What a thread works on, which grows with its first networks and is then there.
struct Workspace {
  std::vector<float> panel, rows;
  std::vector<bf16> rounded_panel, rounded_rows;

  void reserve(const Problem& p) {
    const size_t panel_size = size_t(kPixels * kPanel), rows_size = size_t(p.filters()) * kPixels;
    panel.resize(std::max(panel.size(), panel_size));
    rows.resize(std::max(rows.size(), rows_size));
    if (!p.rounds) return;
    rounded_panel.resize(std::max(rounded_panel.size(), panel_size));
    rounded_rows.resize(std::max(rounded_rows.size(), rows_size));
  }
};

// A part of the weights: the tiles [first, last), counted panel by panel.
void add_part(const Problem& p, int group, int first, int last) {
  thread_local Workspace space;
  space.reserve(p);
  const int in_panel = filter_tiles(p), weights = p.weights(), pixels = p.dy.shape.rows();
  const int first_filter = group * p.filters();
  for (int begin = 0; begin < pixels; begin += kPixels) {
    const int count = std::min(kPixels, pixels - begin);
    transpose(p, first_filter, p.filters(), begin, begin + count, space.rows.data());
    if (p.rounds) round_rows(space.rows.data(), p.filters(), count, space.rounded_rows.data());
    for (int t = first; t < last;) {
      const int at = t / in_panel * kPanel, of_panel = std::min(kPanel, weights - at);
      gather(p, group, at, of_panel, begin, begin + count, space.panel.data());
      if (p.rounds) {
        if (count % 2 != 0) std::fill_n(space.panel.data() + count * kPanel, kPanel, 0.0f);
        round_pairs(space.panel.data(), kPanel, (count + 1) / 2, space.rounded_panel.data());
      }
      for (const int panel_end = std::min(last, (t / in_panel + 1) * in_panel); t < panel_end; ++t) {
        const int f = t % in_panel * kRows, filters = std::min(kRows, p.filters() - f);
        const auto add = [&](auto* rows, auto* panel, const auto& tiles) {
          tiles[size_t(filters - 1)](rows + int64_t(f) * kPixels, panel, count,
                                     p.dweights + int64_t(first_filter + f) * weights + at, weights,
                                     of_panel);
        };
        if (p.rounds)
          add(space.rounded_rows.data(), space.rounded_panel.data(), kTiles<bf16>);
        else
          add(space.rows.data(), space.panel.data(), kTiles<float>);
      }
    }
  }
}

}  // namespace

void add_weight_gradient(View<const float> x, View<const float> dy, float* dweights, const Convolution& c,
                         bool rounds) {
  const Problem p{x, dy, dweights, c, rounds};
  for (int g = 0; g < c.groups; ++g)
    parallel_for(int64_t(weight_panels(p)) * filter_tiles(p), 1,
                 [&](int64_t first, int64_t last) { add_part(p, g, int(first), int(last)); });
}

}  // namespace osprey::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace osprey::simd {

HWY_EXPORT(add_weight_gradient);

void weight_gradient(View<const float> x, View<const float> dy, View<float> dweights, const Convolution& c,
                     bool rounds) {
  HWY_DYNAMIC_DISPATCH(add_weight_gradient)(x, dy, dweights.data, c, rounds);
}

}  // namespace osprey::simd
#endif
