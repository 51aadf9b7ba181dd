#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "layers/simd/window_product.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h
//
#include <algorithm>
#include <array>
#include <cstring>
#include <span>
#include <type_traits>

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

// A few pixels of the output, by the rows of the input that they read. T is float or bf16. There is code for
// even numbers of them: where the pixels are odd, one is made twice.
template <class T>
struct Tile {
  int count = 0;
  bool shares_columns = false;     // kRows neighbours, whose windows are inside: the first has runs below
  std::vector<const T*> rows;      // of run r and pixel p: [r * kRows + p]
  std::array<int64_t, kRows> out;  // where each pixel lies in `out`, in values
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
  const int height = c.in_.h, width = c.in_.w, channels = c.in_.pitch;  // where taps are several
  if (y < 0 || y >= height || x >= width || x + c.taps_in_run_ <= 0)
    return reinterpret_cast<const T*>(c.zeros_.data());
  const T* row = image + int64_t(y) * width * channels;
  // In bf16 a value follows the last row, too.
  const bool inside =
      c.rounds_ ? x + c.taps_in_run_ <= width : x * channels + c.run_length_ <= width * channels;
  if (x >= 0 && inside) return row + int64_t(x) * channels;
  const int first = std::max(0, -x), last = std::min(c.taps_in_run_, width - x);
  std::fill(edge, edge + first * channels, T(0.0f));
  std::copy_n(row + int64_t(x + first) * channels, (last - first) * channels, edge + first * channels);
  std::fill(edge + last * channels, edge + c.run_length_, T(0.0f));
  return edge;
}

// Behind an odd number of pixels comes the last of them again.
template <class T>
void repeat_last(const WindowProduct& c, Tile<T>& tile) {
  const size_t count = size_t(tile.count);
  if (count % 2 == 0) return;
  tile.out[count] = tile.out[count - 1];
  for (int r = 0; r < c.runs_; ++r) {
    const T** rows = tile.rows.data() + r * kRows;
    rows[count] = rows[count - 1];
  }
}

// The next `count` pixels from `place` on, row by row of the lattice: most windows lie inside of the image,
// and those of neighbours `step` apart.
template <class T>
void gather(const WindowProduct& c, const T* in, int group, Place& place, int count, Tile<T>& tile) {
  tile.count = count;
  tile.shares_columns = false;
  const int pitch = c.in_.pitch, runs = c.runs_, step = c.w_.scale * pitch;
  const T** rows = tile.rows.data();
  if (c.pointwise_) {
    const int64_t first = (int64_t(place.n) * c.in_.h + place.h) * c.in_.w + place.w;
    const T* row = in + first * pitch + group * c.in_channels_;
    int64_t out = first * c.out_.pitch + group * c.out_channels_;
    OSPREY_UNROLL
    for (int p = 0; p < kRows; ++p, row += pitch, out += c.out_.pitch) {  // those behind `count` are not read
      rows[p] = row;
      tile.out[size_t(p)] = out;
    }
    place.w += count;  // as it is counted here, the rest of a row may lie in the next
    return repeat_last(c, tile);
  }
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
    const int64_t out = c.out_.place(place.n, out_y, out_x) + group * c.out_channels_;
    for (int k = 0; k < in_row; ++k) tile.out[size_t(p + k)] = out + int64_t(k) * c.w_.step * c.out_.pitch;

    const int y = place.h * c.h_.scale;
    const T* image = in + c.in_.place(place.n, 0, 0) + group * c.in_channels_;
    int begin = in_row, end = in_row;  // those whose windows are inside
    if (y >= c.inside_.top && y < c.inside_.bottom) {
      begin = std::clamp(c.inside_.left - place.w, 0, in_row);
      end = std::clamp(c.inside_.right - place.w, begin, in_row);
    }
    for (int k = 0; k < begin; ++k) at_edge(image, y, place.w + k, p + k);
    tile.shares_columns = c.columns_shared_ && end - begin == kRows;
    const int apart = tile.shares_columns ? 1 : end - begin;
    for (int r = 0; r < runs; ++r) {
      const T* first = image + c.in_.place(0, y, 0) + int64_t(place.w + begin) * step + c.offsets_[size_t(r)];
      const T** to = rows + r * kRows + p + begin;
      for (int k = 0; k < apart; ++k) to[k] = first + int64_t(k) * step;
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
  repeat_last(c, tile);
}

template <class T, int P, int NV>
HWY_INLINE void fetch(const T* from, const int64_t* places) {
  constexpr int kLine = 64 / sizeof(T);
  OSPREY_UNROLL
  for (int p = 0; p < P; ++p) {
    OSPREY_UNROLL
    for (int i = 0; i < NV * kLanes; i += kLine) __builtin_prefetch(from + places[p] + i);
  }
}

// What finish() will add, asked for before the products that the way from memory hides behind: pieces of far
// rows, which no processor foresees. Where products are few, so is what it will write, which comes from
// memory too.
template <class T, int P, int NV>
HWY_INLINE void fetch_output(const WindowProduct& c, const int64_t* places, const Finish& e,
                             const void* out) {
  constexpr int kFewProducts = 64;
  if (c.runs_ > 1 && c.runs_ * c.run_length_ < kFewProducts)
    fetch<T, P, NV>(static_cast<const T*>(out), places);
  if (e.residual) fetch<T, P, NV>(static_cast<const T*>(e.residual), places);
}

// add_outer_products() of P windows in a row, kStep pixels apart: what several of them see is loaded once.
// Each sum has the same order, so that it does not depend on how pixels are shared out.
template <int kStep, int P>
HWY_INLINE void add_shared_columns(const WindowProduct& c, const Tile<float>& tile, const float* weights,
                                   V (&sums)[P][1]) {
  constexpr int kColumns = WindowProduct::kColumns, kChannels = WindowProduct::kColours;
  for (int r = 0; r < c.runs_; ++r, weights += kColumns * kChannels * kLanes) {
    V w[kColumns * kChannels];
    OSPREY_UNROLL
    for (int i = 0; i < kColumns * kChannels; ++i) w[i] = hn::LoadU(kFloats, weights + i * kLanes);
    const float* x = tile.rows[size_t(r * kRows)];
    OSPREY_UNROLL
    for (int i = 0; i < ((P - 1) * kStep + kColumns) * kChannels; ++i) {
      const V value = hn::Set(kFloats, x[i]);
      const int column = i / kChannels, channel = i % kChannels;
      OSPREY_UNROLL
      for (int k = column % kStep; k < kColumns; k += kStep) {
        const int p = (column - k) / kStep;
        if (column >= k && p < P) sums[p][0] = hn::MulAdd(value, w[k * kChannels + channel], sums[p][0]);
      }
    }
  }
}

// `out` is of Out.
template <class Out, int P, int NV>
void multiply_tile(const WindowProduct& c, const Tile<float>& tile, const float* weights, int filters,
                   const Finish& e, void* out) {
  fetch_output<Out, P, NV>(c, tile.out.data(), e, out);
  V sums[P][NV];
  clear(sums);
  if (!tile.shares_columns)
    add_outer_products<P, NV>(tile.rows.data(), c.runs_, c.run_length_, weights, sums);
  else if constexpr (P == kRows && NV == 1)
    c.w_.scale == 1 ? add_shared_columns<1>(c, tile, weights, sums)
                    : add_shared_columns<2>(c, tile, weights, sums);
  finish<P, NV>(sums, tile.out.data(), filters, e, static_cast<Out*>(out));
}
template <class Out, int P, int NV>
OSPREY_BF16_PRODUCTS void multiply_tile(const WindowProduct& c, const Tile<bf16>& tile, const bf16* weights,
                                        int filters, const Finish& e, void* out) {
  fetch_output<Out, P, NV>(c, tile.out.data(), e, out);
  V sums[P][NV];
  clear(sums);
  add_outer_products<P, NV>(tile.rows.data(), c.runs_, c.run_length_ / 2, weights, sums);
  finish<P, NV>(sums, tile.out.data(), filters, e, static_cast<Out*>(out));
}

// Of so few filters that K channels share a vector. Pixels then lie side by side in `out`, and in the end so
// they do in vectors: K pixels in each.
template <int P, int K>
void multiply_narrow_tile(const WindowProduct& c, const Tile<float>& tile, const float* weights, int filters,
                          const Finish& e, void* out) {
  if (e.residual) __builtin_prefetch(static_cast<const float*>(e.residual) + tile.out[0]);
  V sums[P][1];
  clear(sums);
  add_narrow_outer_products<K>(tile.rows.data(), c.runs_, c.run_length_, weights, sums);
  add_neighbouring_lanes(sums);
  constexpr int kHalf = (P + 1) / 2, kVectorsLeft = K == 4 ? (kHalf + 1) / 2 : kHalf;
  V vectors[kHalf][1];
  for (int v = 0; v < kHalf; ++v) vectors[v][0] = sums[v][0];
  if constexpr (K == 4) add_neighbouring_lanes(vectors);
  V left[kVectorsLeft][1];
  int64_t places[kVectorsLeft];
  OSPREY_UNROLL
  for (int v = 0; v < kVectorsLeft; ++v) {
    left[v][0] = vectors[v][0];
    places[v] = tile.out[0] + v * kLanes;
  }
  finish_row(left, places, tile.count * filters, e, static_cast<float*>(out));
}

template <class T>
using Multiply = void (*)(const WindowProduct&, const Tile<T>&, const T* weights, int filters, const Finish&,
                          void* out);

template <class T, class Out, int NV, int... P>
constexpr std::array<Multiply<T>, sizeof...(P)> tiles(std::integer_sequence<int, P...>) {
  return {multiply_tile<Out, 2 * (P + 1), NV>...};
}
using Heights = std::make_integer_sequence<int, kRows / 2>;
template <class T, class Out>
constexpr std::array<Multiply<T>, kRows / 2> kTiles[kVectors] = {tiles<T, Out, 1>(Heights()),
                                                                 tiles<T, Out, 2>(Heights())};

template <int K, int... P>
constexpr std::array<Multiply<float>, sizeof...(P)> narrow_tiles(std::integer_sequence<int, P...>) {
  return {multiply_narrow_tile<2 * (P + 1), K>...};
}

// By half the number of pixels, less 1.
template <class T>
const std::array<Multiply<T>, kRows / 2>& tiles_for(const WindowProduct& c, int vectors, Type out) {
  if constexpr (std::is_same_v<T, float>) {
    static constexpr auto kPairs = narrow_tiles<2>(Heights()), kFours = narrow_tiles<4>(Heights());
    if (c.together_ > 1) return c.together_ == 2 ? kPairs : kFours;
  } else if constexpr (kBf16Products) {
    if (out == Type::bf16) return kTiles<T, bf16>[vectors - 1];
  }
  return kTiles<T, float>[vectors - 1];
}

template <class T>
void run_pixels(const WindowProduct& c, const T* in, const T* packed, const Finish& e, void* out,
                const WindowProduct::Part& part) {
  const int64_t panel_size = int64_t(c.runs_) * c.run_length_ * kPanel;
  const int panels = (c.out_channels_ + kPanel - 1) / kPanel;
  const int64_t first = part.first, pixels = part.last - first;
  if (pixels == 0) return;
  // Tiles of nearly equal size: a last one of a single row would waste the registers.
  const int64_t pairs = (pixels + 1) / 2, tiles = (pixels + kRows - 1) / kRows;
  const int64_t in_tile = pairs / tiles, larger = pairs % tiles;
  const int64_t area = int64_t(c.h_.count) * c.w_.count;
  // Kept by the thread: it grows with the first networks, and then nothing is allocated any more.
  thread_local std::vector<Tile<T>> kept(kTilesInBlock);
  const std::span block(kept.data(), size_t(std::min<int64_t>(tiles, kTilesInBlock)));
  for (Tile<T>& tile : block) tile.reserve(c);
  for (int g = 0; g < c.groups_; ++g) {
    Place place{int(first / area), int(first % area / c.w_.count), int(first % c.w_.count)};
    int64_t begin = 0;
    for (int64_t t = 0; t < tiles; t += int64_t(block.size())) {
      const int64_t in_block = std::min<int64_t>(int64_t(block.size()), tiles - t);
      for (int64_t k = 0; k < in_block; ++k) {
        const int64_t end = std::min(begin + 2 * (in_tile + (t + k < larger ? 1 : 0)), pixels);
        gather(c, in, g, place, int(end - begin), block[size_t(k)]);
        begin = end;
      }
      for (int b = part.first_panel; b < part.last_panel; ++b) {
        const int filter = b * kPanel, filters = std::min(kPanel, c.out_channels_ - filter);
        const auto& multiply = tiles_for<T>(c, (filters + kLanes - 1) / kLanes, e.type);
        const T* weights = packed + g * (panels * panel_size) + b * panel_size;
        const Finish own = from_filter(e, filter, g * c.out_channels_);
        for (int64_t k = 0; k < in_block; ++k) {
          const Tile<T>& tile = block[size_t(k)];
          multiply[size_t(tile.count - 1) / 2](c, tile, weights, filters, own, nth(out, filter, e.type));
        }
      }
    }
  }
}

void run_part(const WindowProduct& c, const void* in, const float* packed, const Finish& e, void* out,
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

WindowProduct::WindowProduct(PitchedShape in, PitchedShape out, int groups, LatticeAxis h, LatticeAxis w,
                             WeightOrder order, bool rounds, Type in_type)
    : in_(in),
      out_(out),
      groups_(groups),
      in_channels_(in.c / groups),
      out_channels_(out.c / groups),
      h_(std::move(h)),
      w_(std::move(w)),
      order_(order),
      rounds_(rounds),
      in_type_(in_type),
      panel_(panel_width()),
      lanes_(vector_width()) {
  for (const LatticeAxis::Tap& row : h_.taps)
    for (const LatticeAxis::Tap& column : w_.taps)
      taps_.push_back({row.offset, column.offset, row.index * order.row + column.index * order.column});
  int side_by_side = 1;
  while (side_by_side < int(taps_.size()) && taps_[size_t(side_by_side)].h == taps_[0].h &&
         taps_[size_t(side_by_side)].w == taps_[0].w + side_by_side)
    ++side_by_side;
  bool all_rows = groups == 1 && in.contiguous() && in.c < kFewChannels && !taps_.empty() &&
                  taps_.size() % size_t(side_by_side) == 0;
  for (size_t t = 0; all_rows && t < taps_.size(); ++t) {
    const auto& first = taps_[t - t % size_t(side_by_side)];
    all_rows = taps_[t].h == first.h && taps_[t].w == first.w + int(t % size_t(side_by_side));
  }
  if (all_rows) taps_in_run_ = side_by_side;
  runs_ = int(taps_.size()) / taps_in_run_;
  const int values = taps_in_run_ * in_channels_;
  const bool side_by_side_out = groups == 1 && out.contiguous() && pixels() == int64_t(out.h) * out.w;
  for (const int together : {2, 4})
    if (side_by_side_out && !rounds && out.c * together == lanes_ &&
        (taps_in_run_ > 1 || values % together == 0))
      together_ = together;
  const int multiple = rounds ? 2 : together_;
  run_length_ = (values + multiple - 1) / multiple * multiple;
  zeros_.resize(size_t(run_length_));
  // What is read behind a run lies in the same row.
  const int behind = rounds ? 0 : (run_length_ - values + in_channels_ - 1) / in_channels_;
  int left = 0, right = in.w;  // in pixels of `in`
  inside_ = {0, in.h, 0, 0};
  for (const Tap& tap : taps_) {
    inside_.top = std::max(inside_.top, -tap.h), inside_.bottom = std::min(inside_.bottom, in.h - tap.h);
    left = std::max(left, -tap.w), right = std::min(right, in.w - tap.w - behind);
  }
  const int scale = w_.scale;
  inside_.left = (left + scale - 1) / scale, inside_.right = (std::max(right, 0) + scale - 1) / scale;
  const auto in_place = [](const LatticeAxis& axis, int inputs) {
    return axis.count == inputs && axis.step == 1 && axis.scale == 1 && axis.taps.size() == 1 &&
           axis.taps[0].offset == 0;
  };
  pointwise_ = in_place(h_, in.h) && in_place(w_, in.w);
  columns_shared_ = taps_in_run_ == kColumns && in_channels_ == kColours && w_.scale <= 2 &&
                    out_channels_ <= lanes_ && together_ == 1 && !rounds;
  for (int r = 0; r < runs_; ++r) {
    const Tap& tap = taps_[size_t(r * taps_in_run_)];
    offsets_.push_back(in.place(0, tap.h, tap.w));
  }
}

WindowProduct WindowProduct::forward(PitchedShape x, PitchedShape y, const Convolution& c, bool rounds,
                                     Type x_type) {
  return {x,
          y,
          c.groups,
          forward_axis(c.window.h, x.h, y.h),
          forward_axis(c.window.w, x.w, y.w),
          WeightOrder::forward(x, y, c),
          rounds,
          x_type};
}

std::vector<WindowProduct> WindowProduct::backward_data(Shape x, Shape y, const Convolution& c, bool rounds,
                                                        Type y_type) {
  std::vector<WindowProduct> products;
  for (const LatticeAxis& h : backward_axes(c.window.h, x.h, y.h))
    for (const LatticeAxis& w : backward_axes(c.window.w, x.w, y.w))
      products.push_back({y, x, c.groups, h, w, WeightOrder::backward(x, y, c), rounds, y_type});
  return products;
}

int64_t WindowProduct::packed_size() const {
  const int64_t weights = int64_t(groups_) * panels_of(out_channels_, panel_) * panel_ * runs_ * run_length_;
  return rounds_ ? weights / 2 : weights;
}

// [panel][run][value of the run][filter of the panel], or for bf16 [panel][run][pair of
// values][filter][value]; and so for few filters, with together_ values.
template <class T>
void WindowProduct::pack_as(const FilterWeights& weights, T* packed) const {
  const int together = sizeof(T) == sizeof(float) ? together_ : 2;
  const int panels = panels_of(out_channels_, panel_);
  const int64_t panel_size = int64_t(runs_) * run_length_ * panel_;
  parallel_for(int64_t(groups_) * panels, 1, [&](int64_t first, int64_t last) {
    std::vector<float> memory;
    for (int64_t part = first; part < last; ++part) {
      const int group = int(part / panels), panel = int(part % panels);
      const int filters = std::min(panel_, out_channels_ - panel * panel_);
      const int filter = group * out_channels_ + panel * panel_;
      const int vector = together_ > 1 ? filters : lanes_;         // filters in it
      const int width = (filters + vector - 1) / vector * vector;  // a last panel may be a vector wide
      const float* of_panel =
          weights.get(filter, filter + filters, group * order_.group + panel * panel_ * order_.out, memory);
      T* const to = packed + part * panel_size;
      for (int64_t at = 0; at < int64_t(runs_) * run_length_; ++at) {
        const int run = int(at / run_length_), value = int(at % run_length_);
        const int tap = value / in_channels_, channel = value % in_channels_;
        const int there = tap < taps_in_run_ ? filters : 0;  // behind the last value of a run is nothing
        const float* from =
            there ? of_panel + taps_[size_t(run * taps_in_run_ + tap)].weights + channel * order_.in
                  : nullptr;
        T* row =
            to + int64_t(run) * run_length_ * width + value / together * together * width + value % together;
        for (int o = 0; o < there; ++o) row[o * together] = T(from[o * order_.out]);
        for (int o = there; o < width; ++o) row[o * together] = T(0.0f);
      }
    }
  });
}

void WindowProduct::pack(const FilterWeights& weights, float* packed) const {
  rounds_ ? pack_as(weights, reinterpret_cast<bf16*>(packed)) : pack_as(weights, packed);
}

// Where the first value of `in` is in bf16, or would be, when the values [first, last) are. Behind the last
// run of odd length a value is read.
const void* WindowProduct::in_bf16(const void* in, int64_t first, int64_t last) const {
  const bool odd = taps_in_run_ * in_channels_ % 2 != 0;
  if (in_type_ == Type::bf16 && !odd) return in;
  thread_local Arena memory("a thread's memory for pixels in bf16");
  memory.reserve(size_t(last - first + 1) * sizeof(bf16));
  bf16* to = reinterpret_cast<bf16*>(memory.data()) - first;
  to[last] = bf16(0.0f);
  parallel_for(last - first, 1 << 14, [&](int64_t begin, int64_t end) {
    if (in_type_ == Type::bf16)
      std::copy(static_cast<const bf16*>(in) + first + begin, static_cast<const bf16*>(in) + first + end,
                to + first + begin);
    else
      HWY_DYNAMIC_DISPATCH(round_part)
    (static_cast<const float*>(in) + first + begin, to + first + begin, end - begin);
  });
  return to;
}

Finish WindowProduct::finish_of(const Epilogue& e) const {
  return with_repeated_channels(e, out_.c, together_ * out_.c);
}

void WindowProduct::run_rows(const void* in, const float* packed, const Epilogue& epilogue, void* out,
                             int first, int last) const {
  const void* pixels = in;
  if (rounds_ && !h_.taps.empty()) {
    const int64_t row = in_.place(0, 1, 0);
    const int begin = std::clamp(first * h_.scale + h_.taps.front().offset, 0, in_.h),
              end = std::clamp((last - 1) * h_.scale + h_.taps.back().offset + 1, begin, in_.h);
    pixels = in_bf16(in, begin * row, end * row);
  }
  HWY_DYNAMIC_DISPATCH(run_part)
  (*this, pixels, packed, finish_of(epilogue), out,
   {int64_t(first) * w_.count, int64_t(last) * w_.count, 0, panels_of(out_channels_, panel_)});
}

void WindowProduct::run(const void* x, const float* packed, const Epilogue& epilogue, void* out) const {
  const Finish e = finish_of(epilogue);
  const void* in = rounds_ ? in_bf16(x, 0, in_.extent()) : x;  // once, and not for each panel
  const int64_t pixels = int64_t(out_.n) * h_.count * w_.count;
  const int panels = panels_of(out_channels_, panel_);
  // Few pixels and many filters: threads share the filters, so that none reads all weights. Of more pixels
  // each has its own, those that it made: what another core made takes longer to read than weights, unless
  // products take half the time.
  const int64_t pixels_worth_a_thread = rounds_ ? 256 : 24;
  if (pixels < pixels_worth_a_thread * threads() && panels >= 2 * threads()) {
    parallel_for(panels, 1, [&](int64_t first, int64_t last) {
      HWY_DYNAMIC_DISPATCH(run_part)(*this, in, packed, e, out, {0, pixels, int(first), int(last)});
    });
    return;
  }
  parallel_for(pixels, 1, [&](int64_t first, int64_t last) {
    HWY_DYNAMIC_DISPATCH(run_part)(*this, in, packed, e, out, {first, last, 0, panels});
  });
}

}  // namespace osprey::simd
#endif
