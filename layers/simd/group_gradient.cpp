#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "layers/simd/group_gradient.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h
//
#include <algorithm>
#include <array>
#include <utility>

#include "core/parallel.h"
#include "layers/simd/group_product-inl.h"
#include "layers/simd/group_product.h"
#include "layers/simd/outer_product-inl.h"

HWY_BEFORE_NAMESPACE();
namespace osprey::simd::HWY_NAMESPACE {
namespace {

constexpr int kTerms = 5;  // weights of a row of the window that are summed together

// A vector of a row of the gradients of the output, and a row of the image that a row of the window meets
// there.
struct Rows {
  const GroupProduct& c;
  const Spread& spread;
  const float *dy, *x;
  int v;
};

// sums[term][lane] += over the units of the row: dy * x, for T terms from `first` on.
template <int T, bool kGrouped>
void add_terms(const Rows& r, int first, float* sums) {
  const GroupProduct& c = r.c;
  const int64_t dy_step = c.unit_channels(), dy_size = int64_t(c.out_.w) * c.out_.c,
                x_step = int64_t(c.pixels_) * c.w_.scale * c.in_.c, x_size = int64_t(c.in_.w) * c.in_.c;
  int64_t offsets[T];
  int channels[T];
  for (int t = 0; t < T; ++t) {
    const auto& tap = c.w_.taps[size_t((first + t) / c.in_channels_)];
    channels[t] = (first + t) % c.in_channels_;
    offsets[t] = int64_t(tap.offset) * c.in_.c + c.in_offset(r.v);
  }
  const int64_t dy_offset = int64_t(r.v) * kLanes;
  V even[T][1], odd[T][1];  // of the units: sums that do not wait for each other
  clear(even);
  clear(odd);
  const auto add = [&](int unit, bool inside, V(&to)[T][1]) HWY_ATTR {
    const int64_t at = unit * x_step, dy_at = unit * dy_step + dy_offset;
    const V dy = inside ? hn::LoadU(kFloats, r.dy + dy_at) : load_inside(r.dy, dy_at, dy_size);
    OSPREY_UNROLL
    for (int t = 0; t < T; ++t) {
      const V x =
          inside ? hn::LoadU(kFloats, r.x + at + offsets[t]) : load_inside(r.x, at + offsets[t], x_size);
      to[t][0] = hn::MulAdd(kGrouped ? r.spread(x, channels[t]) : x, dy, to[t][0]);
    }
  };
  // Units whose vectors all lie in their rows; offsets grow with the terms.
  const int units = c.units();
  const auto fits = [&](int unit) {
    return unit * x_step + offsets[0] >= 0 && unit * x_step + offsets[T - 1] + kLanes <= x_size &&
           unit * dy_step + dy_offset + kLanes <= dy_size;
  };
  int begin = 0, end = units;
  while (begin < end && !fits(begin)) ++begin;
  while (end > begin && !fits(end - 1)) --end;
  for (int u = 0; u < begin; ++u) add(u, false, even);
  int u = begin;
  for (; u + 1 < end; u += 2) {
    add(u, true, even);
    add(u + 1, true, odd);
  }
  if (u < end) add(u, true, even);
  for (u = end; u < units; ++u) add(u, false, odd);
  OSPREY_UNROLL
  for (int t = 0; t < T; ++t) {
    float* to = sums + t * kLanes;
    hn::StoreU(hn::Add(hn::LoadU(kFloats, to), hn::Add(even[t][0], odd[t][0])), kFloats, to);
  }
}

using AddTerms = void (*)(const Rows&, int first, float* sums);
template <bool kGrouped, int... T>
constexpr std::array<AddTerms, sizeof...(T)> term_loops(std::integer_sequence<int, T...>) {
  return {add_terms<T + 1, kGrouped>...};
}

// Vector v, over the rows [first, last) of all gradients: sums[tap row][term][lane].
void add_rows(const GroupProduct& c, const float* x, const float* dy, int v, int64_t first, int64_t last,
              float* sums) {
  static constexpr auto kDepthwise = term_loops<false>(std::make_integer_sequence<int, kTerms>());
  static constexpr auto kGroups = term_loops<true>(std::make_integer_sequence<int, kTerms>());
  const auto& loops = c.in_channels_ > 1 || c.out_channels_ > 1 ? kGroups : kDepthwise;
  const Spread spread(c);
  const int terms = c.taps();
  const int64_t x_row = int64_t(c.in_.w) * c.in_.c, dy_row = int64_t(c.out_.w) * c.out_.c;
  std::fill_n(sums, int64_t(c.h_.taps.size()) * terms * kLanes, 0.0f);
  for (int64_t row = first; row < last; ++row) {
    const int64_t image = row / c.h_.count, start = row % c.h_.count * c.h_.scale;
    float* to = sums;
    for (const LatticeAxis::Tap& tap : c.h_.taps) {
      const int64_t y = start + tap.offset;
      if (y >= 0 && y < c.in_.h)
        for (int t = 0; t < terms; t += kTerms)
          loops[size_t(std::min(kTerms, terms - t) - 1)](
              {c, spread, dy + row * dy_row, x + (image * c.in_.h + y) * x_row, v}, t, to + t * kLanes);
      to += terms * kLanes;
    }
  }
}

}  // namespace
}  // namespace osprey::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace osprey::simd {

HWY_EXPORT(add_rows);

namespace {

// Parts of the rows, each of which is summed for itself: by the shape alone, so that threads change nothing.
int64_t parts_of(const GroupProduct& c) { return std::min<int64_t>(c.rows(), 8); }

}  // namespace

int64_t GroupProduct::gradient_scratch() const { return parts_of(*this) * packed_size(); }

void GroupProduct::add_weight_gradient(const float* x, const float* dy, float* dweights,
                                       float* scratch) const {
  const int64_t parts = parts_of(*this), size = packed_size(), of_vector = size / vectors_;
  parallel_for(parts * vectors_, 1, [&](int64_t first, int64_t last) {
    for (int64_t at = first; at < last; ++at) {
      const int64_t part = at / vectors_, v = at % vectors_;
      HWY_DYNAMIC_DISPATCH(add_rows)
      (*this, x, dy, int(v), rows() * part / parts, rows() * (part + 1) / parts,
       scratch + part * size + v * of_vector);
    }
  });
  for_packed([&](int64_t packed, int64_t weight) {
    for (int64_t part = 0; part < parts; ++part) dweights[weight] += scratch[part * size + packed];
  });
}

}  // namespace osprey::simd
#endif
