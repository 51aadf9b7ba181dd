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
  Tensor x, dy;
  float* dweights;
  Convolution convolution;

  int channels() const { return x.shape.c / convolution.groups; }  // of a group, as the next two
  int filters() const { return dy.shape.c / convolution.groups; }
  int weights() const { return convolution.window.h.size * convolution.window.w.size * channels(); }
};

// Weights that lie side by side, and so do the values of x that they see: of some channels of one tap, or of
// neighbouring taps.
struct Run {
  int tap_h, tap_w, channel, count;
  int at;  // the first of them, of those that are gathered together
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
    result.add({tap / w.size * h.dilation, column * w.dilation, channel, length, at - first});
    at += length;
  }
  return result;
}

// What some weights see: in windows that reach over the left or right edge tap by tap, else row by row.
struct Sight {
  Runs taps, rows;

  Sight(const Problem& p, int first, int count) : taps(runs_of(p, first, count, false)), rows(taps) {
    if (p.convolution.groups == 1 && p.convolution.window.w.dilation == 1)
      rows = runs_of(p, first, count, true);
  }
};

template <class T>
constexpr T kZeros[kLanes] = {};  // what is outside of the image

// Values that lie side by side, at most a vector, at the first of some pixels `step` apart.
template <class T>
struct Source {
  const T* from;
  int64_t step;
  int count, at;
};

// What runs see at some pixels.
template <class T>
struct Sources {
  std::array<Source<T>, kPanel> list;
  int count = 0;
  bool whole = true;  // a vector may be read where fewer values are wanted

  void add(const Run& run, const T* from, int64_t step, int pixels, const T* end) {
    for (int i = 0; i < run.count; i += kLanes) {
      const Source<T> source{from ? from + i : kZeros<T>, from ? step : 0, std::min(run.count - i, kLanes),
                             run.at + i};
      whole = whole && (!from || end - source.from >= (pixels - 1) * step + kLanes);
      list[size_t(count++)] = source;
    }
  }
};

// Whole vectors are stored pixel after pixel: what is too much is written over, up to kLanes floats behind
// the last pixel's.
template <class T>
HWY_INLINE void copy_pixels(const Sources<T>& sources, int pixels, float* to) {
  if (sources.count == kVectors && sources.whole) {
    const Source<T>&a = sources.list[0], &b = sources.list[1];
    for (int k = 0; k < pixels; ++k, to += kPanel) {
      hn::StoreU(load(a.from + k * a.step), kFloats, to + a.at);
      hn::StoreU(load(b.from + k * b.step), kFloats, to + b.at);
    }
    return;
  }
  for (int k = 0; k < pixels; ++k, to += kPanel)
    for (int i = 0; i < sources.count; ++i) {
      const Source<T>& s = sources.list[size_t(i)];
      const T* from = s.from + k * s.step;
      hn::StoreU(sources.whole ? load(from) : load_first(from, first_lanes(s.count)), kFloats, to + s.at);
    }
}

// What they see at the pixels [begin, end) of y: panel[q][weight], and up to kLanes floats behind it.
template <class T>
void gather(const Problem& p, int group, const Sight& sight, int begin, int end, float* panel) {
  const View<const T> all = p.x;
  const Window &h = p.convolution.window.h, &w = p.convolution.window.w;
  const Shape in = p.x.shape, out = p.dy.shape;
  const int64_t step = int64_t(w.stride) * in.c;
  // The columns of y whose windows are inside.
  const int left = (w.before + w.stride - 1) / w.stride;
  const int right = std::max(in.w - w.reach() + w.before + w.stride, 0) / w.stride;
  Pixel at = out.pixel(begin * out.c);
  for (int q = begin; q < end;) {
    const int in_row = std::min(end - q, out.w - at.w);
    const int y = h.start(at.h);
    const T* image = all.data + int64_t(at.n) * in.h * in.w * in.c + group * p.channels();
    const int first = std::clamp(left - at.w, 0, in_row), last = std::clamp(right - at.w, first, in_row);
    const auto copy = [&](const Runs& runs, int k, int count) HWY_ATTR {
      const int x = w.start(at.w + k);
      Sources<T> sources;
      for (int r = 0; r < runs.count; ++r) {
        const Run& run = runs.runs[size_t(r)];
        const int row = y + run.tap_h, column = x + run.tap_w;
        const bool inside = row >= 0 && row < in.h && column >= 0 && column < in.w;
        const T* from = image + (int64_t(row) * in.w + column) * in.c + run.channel;
        sources.add(run, inside ? from : nullptr, step, count, all.end());
      }
      copy_pixels(sources, count, panel + int64_t(k) * kPanel);
    };
    for (int k = 0; k < first; ++k) copy(sight.taps, k, 1);
    if (last > first) copy(sight.rows, first, last - first);
    for (int k = last; k < in_row; ++k) copy(sight.taps, k, 1);
    q += in_row;
    panel += int64_t(in_row) * kPanel;
    at.w = 0;
    if (++at.h == out.h) at.h = 0, ++at.n;
  }
}

// Of P filters, whose gradients lie side by side: rows[step][filter], panel[step][weight]. A step is a pixel,
// or in bf16 two.
template <int P>
void add_tile(const float* rows, int64_t row, const float* panel, int64_t steps, float* dweights,
              int64_t filter_step, int weights) {
  const float *x[P], *w[kVectors];
  for (int p = 0; p < P; ++p) x[p] = rows + p;
  for (int v = 0; v < kVectors; ++v) w[v] = panel + v * kLanes;
  V sums[P][kVectors];
  clear(sums);
  add_strided_products<P, kVectors>(x, row, w, kPanel, steps, sums);
  store_tile(sums, true, dweights, filter_step, weights);
}
template <int P>
OSPREY_BF16_PRODUCTS void add_tile(const bf16* rows, int64_t row, const bf16* panel, int64_t steps,
                                   float* dweights, int64_t filter_step, int weights) {
  const bf16 *x[P], *w[kVectors];
  for (int p = 0; p < P; ++p) x[p] = rows + 2 * p;
  for (int v = 0; v < kVectors; ++v) w[v] = panel + v * 2 * kLanes;
  V sums[P][kVectors];
  clear(sums);
  add_strided_products<P, kVectors>(x, row, w, 2 * kPanel, steps, sums);
  store_tile(sums, true, dweights, filter_step, weights);
}

template <class T>
using AddTile = void (*)(const T* rows, int64_t row, const T* panel, int64_t steps, float* dweights,
                         int64_t filter_step, int weights);
template <class T, int... P>
constexpr std::array<AddTile<T>, sizeof...(P)> tiles(std::integer_sequence<int, P...>) {
  return {add_tile<P + 1>...};
}
template <class T>
constexpr auto kTiles = tiles<T>(std::make_integer_sequence<int, kRows>());

int filter_tiles(const Problem& p) { return (p.filters() + kRows - 1) / kRows; }

int weight_panels(const Problem& p) { return (p.weights() + kPanel - 1) / kPanel; }

// Some pixels of dy and of what a panel of weights sees, as they are multiplied.
struct InFloat {
  using T = float;
  static int64_t steps(int pixels) { return pixels; }
  // Not a power of two: the rows of a tile would share few lines of the cache.
  static int64_t row(const Problem& p) { return (p.filters() + kLanes - 1) / kLanes * kLanes + 16; }

  static void take_dy(const Problem& p, int64_t at, int pixels, float* rows) {
    const int filters = p.filters();
    const float* from = p.dy.view<const float>().data + at;
    for (int q = 0; q < pixels; ++q, from += p.dy.shape.c, rows += row(p))
      for (int f = 0; f < filters; f += kLanes)
        hn::StoreU(load_first(from + f, first_lanes(filters - f)), kFloats, rows + f);
  }
  static void take_x(const Problem& p, int group, const Sight& sight, int begin, int end, float* panel) {
    gather<float>(p, group, sight, begin, end, panel);
  }
};

struct InBf16 {
  using T = bf16;
  static int64_t steps(int pixels) { return (pixels + 1) / 2; }
  static int64_t row(const Problem& p) { return 2 * InFloat::row(p); }

  static void take_dy(const Problem& p, int64_t at, int pixels, bf16* rows) {
    const auto take = [&](const auto* from) {
      round_pairs(from + at, p.dy.shape.c, p.filters(), pixels, rows, row(p));
    };
    if (p.dy.type == Type::bf16) return take(p.dy.view<const bf16>().data);
    take(p.dy.view<const float>().data);
  }
  // In pieces that stay in the first cache until they are rounded.
  static void take_x(const Problem& p, int group, const Sight& sight, int begin, int end, bf16* panel) {
    constexpr int kPiece = 64;
    alignas(64) float piece[kPiece * kPanel + kLanes];
    for (int q = begin; q < end; q += kPiece, panel += kPiece * kPanel) {
      const int last = std::min(q + kPiece, end);
      (p.x.type == Type::bf16 ? gather<bf16> : gather<float>)(p, group, sight, q, last, piece);
      round_pairs(piece, kPanel, kPanel, last - q, panel, 2 * kPanel);
    }
  }
};

// A part of the weights: the tiles [first, last), counted panel by panel.
template <class In>
void add_part(const Problem& p, int group, int first, int last) {
  using T = typename In::T;
  thread_local std::vector<T> rows, panel;  // grow with the first networks, and are then there
  const size_t of_rows = size_t(In::row(p) * In::steps(kPixels)),
               of_panel = size_t(kPixels * kPanel + kLanes);
  if (rows.size() < of_rows) rows.resize(of_rows);
  if (panel.size() < of_panel) panel.resize(of_panel);
  const int in_panel = filter_tiles(p), weights = p.weights(), pixels = p.dy.shape.rows();
  const int first_filter = group * p.filters();
  for (int begin = 0; begin < pixels; begin += kPixels) {
    const int count = std::min(kPixels, pixels - begin);
    In::take_dy(p, int64_t(begin) * p.dy.shape.c + first_filter, count, rows.data());
    for (int t = first; t < last;) {
      const int at = t / in_panel * kPanel, of_panel = std::min(kPanel, weights - at);
      In::take_x(p, group, Sight(p, at, of_panel), begin, begin + count, panel.data());
      for (const int panel_end = std::min(last, (t / in_panel + 1) * in_panel); t < panel_end; ++t) {
        // Of nearly equal size: a last tile of a few filters would waste the registers.
        const int tile = t % in_panel, f = int(int64_t(p.filters()) * tile / in_panel),
                  filters = int(int64_t(p.filters()) * (tile + 1) / in_panel) - f;
        kTiles<T>[size_t(filters - 1)](
            rows.data() + f * int64_t(sizeof(float) / sizeof(T)), In::row(p), panel.data(), In::steps(count),
            p.dweights + int64_t(first_filter + f) * weights + at, weights, of_panel);
      }
    }
  }
}

}  // namespace

void add_weight_gradient(Tensor x, Tensor dy, float* dweights, const Convolution& c, bool rounds) {
  const Problem p{x, dy, dweights, c};
  for (int g = 0; g < c.groups; ++g)
    parallel_for(int64_t(weight_panels(p)) * filter_tiles(p), 1, [&](int64_t first, int64_t last) {
      (rounds ? add_part<InBf16> : add_part<InFloat>)(p, g, int(first), int(last));
    });
}

}  // namespace osprey::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace osprey::simd {

HWY_EXPORT(add_weight_gradient);

void weight_gradient(Tensor x, Tensor dy, View<float> dweights, const Convolution& c, bool rounds) {
  HWY_DYNAMIC_DISPATCH(add_weight_gradient)(x, dy, dweights.data, c, rounds);
}

}  // namespace osprey::simd
#endif
