#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "layers/simd/window_product.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h
//
#include <algorithm>
#include <array>
#include <cstring>
#include <span>

#include "core/arena.h"
#include "core/parallel.h"
#include "layers/simd/epilogue-inl.h"
#include "layers/simd/outer_product-inl.h"
#include "layers/simd/outer_product.h"
#include "layers/simd/window_product.h"
#include "layers/vector_loop.h"

HWY_BEFORE_NAMESPACE();
namespace osprey::simd::HWY_NAMESPACE {
namespace {

constexpr int kTilesInBlock = 32;  // share a panel of weights while it is in the cache

// A few pixels of the output, by the rows of the input that they read. T is float or bf16.
template <class T>
struct Tile {
  int count = 0;
  std::vector<const T*> rows;      // of run r and pixel p: [r * kRows + p]
  std::array<int64_t, kRows> out;  // where each pixel lies in `out`, in floats
  std::vector<T> edges;            // runs that reach over the edge of the image, filled up with zeros

  void reserve(const WindowProduct& c) {
    rows.resize(std::max(rows.size(), size_t(c.runs_ * kRows)));
    if (c.taps_in_run_ > 1) edges.resize(std::max(edges.size(), size_t(c.runs_ * kRows * c.run_length_)));
  }
};

struct Place {  // a pixel of the lattice
  int n, h, w;
};

// The run of a window that begins at (y, x) and is not all inside of the image.
template <class T>
const T* edge_run(const WindowProduct& c, const T* image, int y, int x, T* edge) {
  const int height = c.in_.h, width = c.in_.w, channels = c.in_.c;
  if (y < 0 || y >= height || x >= width || x + c.taps_in_run_ <= 0)
    return reinterpret_cast<const T*>(c.zeros_.data());
  const T* row = image + int64_t(y) * width * channels;
  if (x >= 0 && x + c.taps_in_run_ <= width) return row + int64_t(x) * channels;
  const int first = std::max(0, -x), last = std::min(c.taps_in_run_, width - x);
  std::fill(edge, edge + first * channels, T(0.0f));
  std::copy_n(row + int64_t(x + first) * channels, (last - first) * channels, edge + first * channels);
  std::fill(edge + last * channels, edge + c.run_length_, T(0.0f));
  return edge;
}

// The next `count` pixels from `place` on, row by row of the lattice: most windows lie inside of the image,
// and those of neighbours `step` apart.
template <class T>
void gather(const WindowProduct& c, const T* in, int group, int64_t origin, Place& place, int count,
            Tile<T>& tile) {
  tile.count = count;
  const int channels = c.in_.c, runs = c.runs_, step = c.w_.scale * channels;
  const int64_t image_size = int64_t(c.in_.h) * c.in_.w * channels;
  const T** rows = tile.rows.data();
  const auto at_edge = [&](const T* image, int y, int column, int p) HWY_ATTR {
    for (int r = 0; r < runs; ++r) {
      const WindowProduct::Tap& tap = c.taps_[size_t(r * c.taps_in_run_)];
      T* edge = tile.edges.data() + (int64_t(p) * runs + r) * c.run_length_;
      rows[r * kRows + p] = edge_run(c, image, y + tap.h, column * c.w_.scale + tap.w, edge);
    }
  };
  for (int p = 0; p < count;) {
    const int in_row = std::min(count - p, c.w_.count - place.w);
    const int out_y = c.h_.start + place.h * c.h_.step, out_x = c.w_.start + place.w * c.w_.step;
    const int64_t out = ((int64_t(place.n) * c.out_.h + out_y) * c.out_.w + out_x) * c.out_.c +
                        group * c.out_channels_ - origin;
    for (int k = 0; k < in_row; ++k) tile.out[size_t(p + k)] = out + int64_t(k) * c.w_.step * c.out_.c;

    const int y = place.h * c.h_.scale;
    const T* image = in + place.n * image_size + group * c.in_channels_;
    int begin = in_row, end = in_row;  // those whose windows are inside
    if (y >= c.inside_.top && y < c.inside_.bottom) {
      begin = std::clamp(c.inside_.left - place.w, 0, in_row);
      end = std::clamp(c.inside_.right - place.w, begin, in_row);
    }
    for (int k = 0; k < begin; ++k) at_edge(image, y, place.w + k, p + k);
    for (int r = 0; r < runs; ++r) {
      const T* first =
          image + int64_t(y) * c.in_.w * channels + int64_t(place.w + begin) * step + c.offsets_[size_t(r)];
      const T** to = rows + r * kRows + p + begin;
      for (int k = 0; k < end - begin; ++k) to[k] = first + int64_t(k) * step;
    }
    for (int k = end; k < in_row; ++k) at_edge(image, y, place.w + k, p + k);

    p += in_row;
    place.w += in_row;
    if (place.w < c.w_.count) continue;
    place.w = 0;
    if (++place.h < c.h_.count) continue;
    place.h = 0;
    ++place.n;
  }
}

// What finish() will add, asked for before the products that the way from memory hides behind: pieces of far
// rows, which no processor foresees.
template <int P, int NV>
HWY_INLINE void fetch_residual(const int64_t* places, const Finish& e) {
  if (!e.residual) return;
  constexpr int kLine = 16;  // floats
  OSPREY_UNROLL
  for (int p = 0; p < P; ++p) {
    OSPREY_UNROLL
    for (int i = 0; i < NV * kLanes; i += kLine) __builtin_prefetch(e.residual + places[p] + i);
  }
}

template <int P, int NV>
void multiply_tile(const WindowProduct& c, const Tile<float>& tile, const float* weights, int filters,
                   const Finish& e, float* out) {
  fetch_residual<P, NV>(tile.out.data(), e);
  V sums[P][NV];
  clear(sums);
  add_outer_products<P, NV>(tile.rows.data(), c.runs_, c.run_length_, weights, sums);
  finish<P, NV>(sums, tile.out.data(), filters, e, out);
}
template <int P, int NV>
OSPREY_BF16_PRODUCTS void multiply_tile(const WindowProduct& c, const Tile<bf16>& tile, const bf16* weights,
                                        int filters, const Finish& e, float* out) {
  fetch_residual<P, NV>(tile.out.data(), e);
  V sums[P][NV];
  clear(sums);
  add_outer_products<P, NV>(tile.rows.data(), c.runs_, c.run_length_ / 2, weights, sums);
  finish<P, NV>(sums, tile.out.data(), filters, e, out);
}

template <class T>
using Multiply = void (*)(const WindowProduct&, const Tile<T>&, const T* weights, int filters, const Finish&,
                          float* out);

template <class T, int NV, int... P>
constexpr std::array<Multiply<T>, sizeof...(P)> tiles(std::integer_sequence<int, P...>) {
  return {multiply_tile<P + 1, NV>...};
}
template <class T>
constexpr std::array<Multiply<T>, kRows> kTiles[kVectors] = {
    tiles<T, 1>(std::make_integer_sequence<int, kRows>()),
    tiles<T, 2>(std::make_integer_sequence<int, kRows>())};

template <class T>
void run_pixels(const WindowProduct& c, const T* in, const T* packed, const Finish& e, float* out,
                const WindowProduct::Part& part) {
  const int64_t panel_size = int64_t(c.runs_) * c.run_length_ * kPanel;
  const int panels = (c.out_channels_ + kPanel - 1) / kPanel;
  const int64_t first = part.first, pixels = part.last - first, tiles = (pixels + kRows - 1) / kRows;
  const int64_t area = int64_t(c.h_.count) * c.w_.count;
  // Kept by the thread: it grows with the first networks, and then nothing is allocated any more.
  thread_local std::vector<Tile<T>> kept(kTilesInBlock);
  const std::span block(kept.data(), size_t(std::min<int64_t>(tiles, kTilesInBlock)));
  for (Tile<T>& tile : block) tile.reserve(c);
  for (int g = 0; g < c.groups_; ++g) {
    Place place{int(first / area), int(first % area / c.w_.count), int(first % c.w_.count)};
    // Tiles of nearly equal size: a last one of a single row would waste the registers.
    for (int64_t t = 0; t < tiles; t += int64_t(block.size())) {
      const int64_t in_block = std::min<int64_t>(int64_t(block.size()), tiles - t);
      for (int64_t k = 0; k < in_block; ++k) {
        const int64_t begin = pixels * (t + k) / tiles, end = pixels * (t + k + 1) / tiles;
        gather(c, in, g, part.origin, place, int(end - begin), block[size_t(k)]);
      }
      for (int b = part.first_panel; b < part.last_panel; ++b) {
        const int filter = b * kPanel, filters = std::min(kPanel, c.out_channels_ - filter);
        const int vectors = (filters + kLanes - 1) / kLanes;
        const T* weights = packed + g * (panels * panel_size) + b * panel_size;
        const Finish own = from_filter(e, filter, g * c.out_channels_);
        for (int64_t k = 0; k < in_block; ++k) {
          const Tile<T>& tile = block[size_t(k)];
          kTiles<T>[vectors - 1][size_t(tile.count - 1)](c, tile, weights, filters, own, out + filter);
        }
      }
    }
  }
}

void run_part(const WindowProduct& c, const void* in, const float* packed, const Finish& e, float* out,
              const WindowProduct::Part& part) {
  if (c.rounds_)
    run_pixels(c, static_cast<const bf16*>(in), reinterpret_cast<const bf16*>(packed), e, out, part);
  else
    run_pixels(c, static_cast<const float*>(in), packed, e, out, part);
}

// to[i] = x[i] rounded, for `count` values.
void round_part(const float* x, bf16* to, int64_t count) {
  const int64_t whole = count / kLanes * kLanes;
  round_row(x, whole, to);
  for (int64_t i = whole; i < count; ++i) to[i] = bf16(x[i]);
}

}  // namespace
}  // namespace osprey::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace osprey::simd {

HWY_EXPORT(run_part);
HWY_EXPORT(round_part);

namespace {

constexpr int kFewChannels = 32;  // below, the loop over them is too short to be worth its start

int panels_of(int channels, int panel) { return (channels + panel - 1) / panel; }

}  // namespace

WindowProduct::WindowProduct(Shape in, Shape out, int groups, LatticeAxis h, LatticeAxis w, WeightOrder order,
                             bool rounds)
    : in_(in),
      out_(out),
      groups_(groups),
      in_channels_(in.c / groups),
      out_channels_(out.c / groups),
      h_(std::move(h)),
      w_(std::move(w)),
      order_(order),
      rounds_(rounds),
      panel_(panel_width()),
      lanes_(vector_width()) {
  for (const LatticeAxis::Tap& row : h_.taps)
    for (const LatticeAxis::Tap& column : w_.taps)
      taps_.push_back({row.offset, column.offset, row.index * order.row + column.index * order.column});
  int side_by_side = 1;
  while (side_by_side < int(taps_.size()) && taps_[size_t(side_by_side)].h == taps_[0].h &&
         taps_[size_t(side_by_side)].w == taps_[0].w + side_by_side)
    ++side_by_side;
  bool all_rows =
      groups == 1 && in.c < kFewChannels && !taps_.empty() && taps_.size() % size_t(side_by_side) == 0;
  for (size_t t = 0; all_rows && t < taps_.size(); ++t) {
    const auto& first = taps_[t - t % size_t(side_by_side)];
    all_rows = taps_[t].h == first.h && taps_[t].w == first.w + int(t % size_t(side_by_side));
  }
  if (all_rows) taps_in_run_ = side_by_side;
  runs_ = int(taps_.size()) / taps_in_run_;
  run_length_ = taps_in_run_ * in_channels_;
  if (rounds_) run_length_ += run_length_ % 2;
  zeros_.resize(size_t(run_length_));
  int left = 0, right = in.w;  // in pixels of `in`
  inside_ = {0, in.h, 0, 0};
  for (const Tap& tap : taps_) {
    inside_.top = std::max(inside_.top, -tap.h), inside_.bottom = std::min(inside_.bottom, in.h - tap.h);
    left = std::max(left, -tap.w), right = std::min(right, in.w - tap.w);
  }
  const int scale = w_.scale;
  inside_.left = (left + scale - 1) / scale, inside_.right = (std::max(right, 0) + scale - 1) / scale;
  for (int r = 0; r < runs_; ++r) {
    const Tap& tap = taps_[size_t(r * taps_in_run_)];
    offsets_.push_back((int64_t(tap.h) * in.w + tap.w) * in.c);
  }
}

WindowProduct WindowProduct::forward(Shape x, Shape y, const Convolution& c, bool rounds) {
  return {x,
          y,
          c.groups,
          forward_axis(c.window.h, x.h, y.h),
          forward_axis(c.window.w, x.w, y.w),
          WeightOrder::forward(x, y, c),
          rounds};
}

std::vector<WindowProduct> WindowProduct::backward_data(Shape x, Shape y, const Convolution& c, bool rounds) {
  std::vector<WindowProduct> products;
  for (const LatticeAxis& h : backward_axes(c.window.h, x.h, y.h))
    for (const LatticeAxis& w : backward_axes(c.window.w, x.w, y.w))
      products.push_back({y, x, c.groups, h, w, WeightOrder::backward(x, y, c), rounds});
  return products;
}

int64_t WindowProduct::packed_size() const {
  const int64_t weights = int64_t(groups_) * panels_of(out_channels_, panel_) * panel_ * runs_ * run_length_;
  return rounds_ ? weights / 2 : weights;
}

// [panel][run][value of the run][filter of the panel], or for bf16 [panel][run][pair of
// values][filter][value].
template <class T>
void WindowProduct::pack_as(const float* weights, T* packed) const {
  constexpr int kTogether = sizeof(T) == sizeof(float) ? 1 : 2;
  const int panels = panels_of(out_channels_, panel_);
  const int64_t panel_size = int64_t(runs_) * run_length_ * panel_;
  parallel_for(int64_t(groups_) * panels * runs_, 1, [&](int64_t first, int64_t last) {
    for (int64_t part = first; part < last; ++part) {
      const int64_t group = part / runs_ / panels;
      const int panel = int(part / runs_ % panels), run = int(part % runs_);
      const int filters = std::min(panel_, out_channels_ - panel * panel_);
      const int width = (filters + lanes_ - 1) / lanes_ * lanes_;  // a last panel may be a vector wide
      const float* of_panel = weights + group * order_.group + panel * panel_ * order_.out;
      T* to = packed + (group * panels + panel) * panel_size + int64_t(run) * run_length_ * width;
      for (int value = 0; value < run_length_; ++value) {
        const int tap = value / in_channels_, channel = value % in_channels_;
        const int there = tap < taps_in_run_ ? filters : 0;  // behind an odd number of values is nothing
        const float* from =
            there ? of_panel + taps_[size_t(run * taps_in_run_ + tap)].weights + channel * order_.in
                  : nullptr;
        T* row = to + value / kTogether * kTogether * width + value % kTogether;
        for (int o = 0; o < there; ++o) row[o * kTogether] = T(from[o * order_.out]);
        for (int o = there; o < width; ++o) row[o * kTogether] = T(0.0f);
      }
    }
  });
}

void WindowProduct::pack(const float* weights, float* packed) const {
  rounds_ ? pack_as(weights, reinterpret_cast<bf16*>(packed)) : pack_as(weights, packed);
}

const void* WindowProduct::readable(const float* x) const {
  if (!rounds_) return x;
  thread_local Arena rounded("a thread's memory for pixels in bf16");
  rounded.reserve(size_t(in_.elements() + 1) * sizeof(bf16));
  bf16* to = reinterpret_cast<bf16*>(rounded.data());
  to[in_.elements()] = bf16(0.0f);  // for a last run of odd length
  parallel_for(in_.elements(), 1 << 14, [&](int64_t first, int64_t last) {
    HWY_DYNAMIC_DISPATCH(round_part)(x + first, to + first, last - first);
  });
  return to;
}

void WindowProduct::run(const float* x, const float* packed, const Epilogue& epilogue, float* out) const {
  const Finish e(epilogue);
  const void* in = readable(x);  // once, and not for each panel
  const int64_t pixels = int64_t(out_.n) * h_.count * w_.count;
  const int panels = panels_of(out_channels_, panel_);
  constexpr int64_t kPixelsWorthAThread = 256;
  // Few pixels and many filters: threads share the filters, so that none reads all weights.
  if (pixels < kPixelsWorthAThread * threads() && panels >= 2 * threads()) {
    parallel_for(panels, 1, [&](int64_t first, int64_t last) {
      HWY_DYNAMIC_DISPATCH(run_part)(*this, in, packed, e, out, {0, pixels, int(first), int(last)});
    });
    return;
  }
  parallel_for(pixels, 1, [&](int64_t first, int64_t last) {
    HWY_DYNAMIC_DISPATCH(run_part)(*this, in, packed, e, out, {first, last, 0, panels});
  });
}

void WindowProduct::run_rows(const void* readable, const float* packed, const Epilogue& epilogue, int first,
                             int last, float* out) const {
  const int64_t columns = w_.count;
  HWY_DYNAMIC_DISPATCH(run_part)
  (*this, readable, packed, Finish(epilogue), out,
   {first * columns, last * columns, 0, panels_of(out_channels_, panel_), first * columns * out_.c});
}

}  // namespace osprey::simd
#endif
