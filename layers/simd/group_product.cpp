#include "layers/simd/group_product.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "layers/simd/group_product.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h
//
#include <algorithm>
#include <array>
#include <numeric>
#include <utility>

#include "core/parallel.h"
#include "layers/simd/epilogue-inl.h"
#include "layers/simd/group_product-inl.h"
#include "layers/simd/outer_product-inl.h"
#include "layers/simd/outer_product.h"

HWY_BEFORE_NAMESPACE();
namespace osprey::simd::HWY_NAMESPACE {
namespace {

constexpr int kUnits = kRows == 12 ? 8 : 4;  // side by side in a row, whose sums are kept in registers

// A vector of each of some units side by side.
struct Tile {
  const GroupProduct& c;
  const Spread& spread;
  const float* image;
  int y;                 // the row of the image that the row of the lattice stands for
  const float* weights;  // of the vector: [tap row][tap][channel of the group][lane]
  int64_t first,
      size;   // where in a row of the image the first tap of the first unit is, and its end; in floats
  bool edge;  // the windows reach over an end of the row
  const int64_t* places;
  int filters;  // of the vector
  const Finish& e;
  float* out;
};

// Calls add(row of the image, its weights) for the rows under the windows.
template <class Add>
HWY_INLINE void for_rows(const Tile& t, Add&& add) {
  const auto& taps = t.c.h_.taps;
  const float* weights = t.weights;
  for (const LatticeAxis::Tap& tap : taps) {
    const int y = t.y + tap.offset;
    if (y >= 0 && y < t.c.in_.h) add(t.image + y * t.size, weights);
    weights += t.c.taps() * kLanes;
  }
}

// Windows of K neighbouring taps, Step pixels apart from unit to unit, of one channel to a group: each vector
// of the row is loaded once.
template <int K, int Step, int P>
void sum_neighbours(const Tile& t) {
  constexpr int kReach = (P - 1) * Step + K;
  const int64_t channels = t.c.in_.c;
  V sums[P][1];
  clear(sums);
  const auto add = [&](auto&& load_from) HWY_ATTR {
    for_rows(t, [&](const float* row, const float* weights) HWY_ATTR {
      V x[kReach];
      OSPREY_UNROLL
      for (int q = 0; q < kReach; ++q) x[q] = load_from(row + t.first + q * channels, q);
      OSPREY_UNROLL
      for (int s = 0; s < K; ++s) {
        const V w = hn::LoadU(kFloats, weights + s * kLanes);
        OSPREY_UNROLL
        for (int p = 0; p < P; ++p) sums[p][0] = hn::MulAdd(x[p * Step + s], w, sums[p][0]);
      }
    });
  };
  if (t.edge) {
    InsideLanes lanes[kReach];  // the same in every row
    for (int q = 0; q < kReach; ++q) lanes[q] = inside_lanes(t.first + q * channels, t.size);
    add([&](const float* from, int q) HWY_ATTR { return load_inside(from, lanes[q]); });
  } else {
    add([](const float* from, int) HWY_ATTR { return load(from); });
  }
  finish<P, 1>(sums, t.places, t.filters, t.e, t.out);
}

// Any window, and groups of any number of channels. Windows of one channel are rare ones: one loop for all
// places, for the program's size.
template <bool kGrouped, int P>
void sum_taps(const Tile& t) {
  const GroupProduct& c = t.c;
  const int64_t channels = c.in_.c, step = int64_t(c.pixels_) * c.w_.scale * channels;
  const int first_offset = c.w_.taps.front().offset;
  V sums[P][1];
  clear(sums);
  for_rows(t, [&](const float* row, const float* weights) HWY_ATTR {
    for (const LatticeAxis::Tap& tap : c.w_.taps) {
      const int64_t at = t.first + (tap.offset - first_offset) * channels;
      V x[P];
      if (!kGrouped || t.edge) {
        OSPREY_UNROLL
        for (int p = 0; p < P; ++p) x[p] = load_inside(row, at + p * step, t.size);
      } else {
        OSPREY_UNROLL
        for (int p = 0; p < P; ++p) x[p] = load(row + at + p * step);
      }
      for (int i = 0; i < (kGrouped ? c.in_channels_ : 1); ++i, weights += kLanes) {
        const V w = hn::LoadU(kFloats, weights);
        OSPREY_UNROLL
        for (int p = 0; p < P; ++p)
          sums[p][0] = hn::MulAdd(kGrouped ? t.spread(x[p], i) : x[p], w, sums[p][0]);
      }
    }
  });
  finish<P, 1>(sums, t.places, t.filters, t.e, t.out);
}

using SumTile = void (*)(const Tile&);

using Loops = std::array<SumTile, kUnits>;  // by the number of units less 1

template <int K, int Step, int... P>
constexpr Loops neighbour_loops(std::integer_sequence<int, P...>) {
  return {sum_neighbours<K, Step, P + 1>...};
}
template <bool kGrouped, int... P>
constexpr Loops tap_loops(std::integer_sequence<int, P...>) {
  return {sum_taps<kGrouped, P + 1>...};
}

const Loops& loops_of(const GroupProduct& c) {
  constexpr auto kCounts = std::make_integer_sequence<int, kUnits>();
  static constexpr Loops kWindow3[2] = {neighbour_loops<3, 1>(kCounts), neighbour_loops<3, 2>(kCounts)};
  static constexpr Loops kWindow5 = neighbour_loops<5, 1>(kCounts);
  static constexpr Loops kGroups = tap_loops<true>(kCounts), kOther = tap_loops<false>(kCounts);
  if (c.in_channels_ > 1 || c.out_channels_ > 1) return kGroups;
  const auto& taps = c.w_.taps;
  const int step = c.pixels_ * c.w_.scale, count = int(taps.size());
  const bool neighbours = taps.back().offset - taps.front().offset == count - 1;
  if (neighbours && count == 3 && step <= 2) return kWindow3[step - 1];
  if (neighbours && count == 5 && step == 1) return kWindow5;
  return kOther;
}

// A vector of each unit in a row of the lattice.
struct Line {
  const GroupProduct& c;
  const Loops& loops;
  const Spread& spread;
  const float *image, *weights;
  int y, v;
  int64_t place;  // of the first unit in `out`
  const Finish& e;
  float* out;

  void sum(int unit, int count, int filters) const {
    const LatticeAxis& w = c.w_;
    const int64_t unit_step = int64_t(c.pixels_) * w.step * c.out_.c,
                  in_step = int64_t(c.pixels_) * w.scale * c.in_.c, size = int64_t(c.in_.w) * c.in_.c,
                  begin = unit * in_step + c.in_offset(v),
                  first = begin + int64_t(w.taps.front().offset) * c.in_.c,
                  end = begin + (count - 1) * in_step + int64_t(w.taps.back().offset) * c.in_.c + kLanes;
    std::array<int64_t, kUnits> places;
    for (int p = 0; p < count; ++p) places[size_t(p)] = place + (unit + p) * unit_step;
    const bool edge = first < 0 || end > size;
    loops[size_t(count - 1)](
        {c, spread, image, y, weights, first, size, edge, places.data(), filters, e, out});
  }
};

// Of the vectors of all rows of the lattice, counted row by row, those of [first, last). With an activation
// that is more than bounds they must be whole rows: it is done row by row.
void sum_part(const GroupProduct& c, const float* in, const float* packed, const Finish& e, float* out,
              int64_t first, int64_t last) {
  const Loops& loops = loops_of(c);
  const Spread spread(c);
  const LatticeAxis &h = c.h_, &w = c.w_;
  const int64_t image_size = int64_t(c.in_.h) * c.in_.w * c.in_.c,
                packed_vector = int64_t(h.taps.size()) * c.taps() * kLanes;
  Finish plain = e;
  if (!e.both_bounded) plain.residual = nullptr, plain.own = {}, plain.both_bounded = true;
  const int whole = w.count / c.pixels_, tiles = (whole + kUnits - 1) / kUnits;
  for (int64_t at = first; at < last; ++at) {
    const int v = int(at % c.vectors_), filter = v * kLanes;
    const int64_t row = at / c.vectors_, n = row / h.count, j = row % h.count;
    const int64_t place = ((n * c.out_.h + h.start + j * h.step) * c.out_.w + w.start) * c.out_.c;
    const Finish own = from_filter(plain, filter);
    const Line line{c, loops, spread, in + n * image_size, packed + v * packed_vector, int(j) * h.scale,
                    v, place, own,    out + filter};
    const int filters = std::min(kLanes, c.unit_channels() - filter);
    for (int t = 0; t < tiles; ++t) {
      const int unit = whole * t / tiles;
      line.sum(unit, whole * (t + 1) / tiles - unit, filters);
    }
    // The last unit may hang over the edge of the image.
    const int left = (w.count - whole * c.pixels_) * c.out_.c - filter;
    if (left > 0) line.sum(whole, 1, std::min(filters, left));
    if (e.both_bounded || v + 1 < c.vectors_) continue;
    const float* residual = static_cast<const float*>(e.residual);
    activate_stored(e, out + place, residual ? residual + place : nullptr, w.count * c.out_.c);
  }
}

}  // namespace
}  // namespace osprey::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace osprey::simd {

HWY_EXPORT(sum_part);

namespace {

// Of so many pixels of an image of `channels`, how many lanes go to waste, in parts of those used.
double waste(int channels, int pixels, int lanes) {
  const int used = channels * pixels;
  return double((used + lanes - 1) / lanes * lanes - used) / used;
}

}  // namespace

bool GroupProduct::fits(int in_channels, int out_channels, int groups) {
  const int in = in_channels / groups, out = out_channels / groups, lanes = vector_width();
  return groups > 1 && in <= out && 2 * out <= lanes && lanes % out == 0;
}

GroupProduct::GroupProduct(Shape in, Shape out, int groups, LatticeAxis h, LatticeAxis w, WeightOrder order)
    : in_(in),
      out_(out),
      in_channels_(in.c / groups),
      out_channels_(out.c / groups),
      h_(std::move(h)),
      w_(std::move(w)),
      order_(order),
      lanes_(vector_width()) {
  for (LatticeAxis* axis : {&h_, &w_})
    std::sort(axis->taps.begin(), axis->taps.end(),
              [](const auto& a, const auto& b) { return a.offset < b.offset; });
  // Sums of nothing: a tap that no row has.
  if (w_.taps.empty()) w_.taps = {{0, 0}}, h_.taps.clear();
  // Pixels that lie side by side in both images can share a vector. Each tap is then loaded for itself, which
  // is worth an eighth of the lanes.
  constexpr double kWorthSharing = 0.125;
  const int shared = lanes_ / std::gcd(out.c, lanes_);
  if (w_.step == 1 && w_.scale == 1 && shared <= w_.count && waste(out.c, 1, lanes_) > kWorthSharing)
    pixels_ = shared;
  vectors_ = (unit_channels() + lanes_ - 1) / lanes_;
}

GroupProduct GroupProduct::forward(Shape x, Shape y, const Convolution& c) {
  return {x,
          y,
          c.groups,
          forward_axis(c.window.h, x.h, y.h),
          forward_axis(c.window.w, x.w, y.w),
          WeightOrder::forward(x, y, c)};
}

std::vector<GroupProduct> GroupProduct::backward_data(Shape x, Shape y, const Convolution& c) {
  std::vector<GroupProduct> products;
  for (const LatticeAxis& h : backward_axes(c.window.h, x.h, y.h))
    for (const LatticeAxis& w : backward_axes(c.window.w, x.w, y.w))
      products.push_back({y, x, c.groups, h, w, WeightOrder::backward(x, y, c)});
  return products;
}

int64_t GroupProduct::packed_size() const {
  return int64_t(vectors_) * int64_t(h_.taps.size()) * taps() * lanes_;
}

void GroupProduct::pack(const FilterWeights& weights, float* packed) const {
  std::vector<float> memory;
  const float* const from = weights.get(0, out_.c, 0, memory);
  std::fill_n(packed, packed_size(), 0.0f);
  for_packed([&](int64_t at, int64_t weight) { packed[at] = from[weight]; });
}

void GroupProduct::run_rows(const void* in, const float* packed, const Epilogue& epilogue, void* out,
                            int first, int last) const {
  HWY_DYNAMIC_DISPATCH(sum_part)
  (*this, static_cast<const float*>(in), packed, with_repeated_channels(epilogue, out_.c, unit_channels()),
   static_cast<float*>(out), int64_t(first) * vectors_, int64_t(last) * vectors_);
}

void GroupProduct::run(const void* in, const float* packed, const Epilogue& epilogue, void* out) const {
  const Finish e = with_repeated_channels(epilogue, out_.c, unit_channels());
  constexpr int64_t kProductsWorthAThread = 1 << 14;
  const int64_t together = e.both_bounded ? 1 : vectors_;  // vectors of a row, on one thread
  const int64_t products = together * units() * int64_t(h_.taps.size()) * taps();
  parallel_for(rows() * vectors_ / together, kProductsWorthAThread / std::max<int64_t>(products, 1) + 1,
               [&](int64_t first, int64_t last) {
                 HWY_DYNAMIC_DISPATCH(sum_part)
                 (*this, static_cast<const float*>(in), packed, e, static_cast<float*>(out), first * together,
                  last * together);
               });
}

}  // namespace osprey::simd
#endif
