// What the loops over narrow groups share, for each kind of processor.
#if defined(OSPREY_LAYERS_SIMD_GROUP_PRODUCT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef OSPREY_LAYERS_SIMD_GROUP_PRODUCT_INL_H_
#undef OSPREY_LAYERS_SIMD_GROUP_PRODUCT_INL_H_
#else
#define OSPREY_LAYERS_SIMD_GROUP_PRODUCT_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstdint>

#include "layers/simd/group_product.h"
#include "layers/simd/outer_product-inl.h"

HWY_BEFORE_NAMESPACE();
namespace osprey::simd::HWY_NAMESPACE {

// Which lanes of a vector from `at` on are inside of a row of `size` floats.
#if HWY_TARGET <= HWY_AVX2
using InsideLanes = FirstLanes;
HWY_INLINE InsideLanes inside_lanes(int64_t at, int64_t size) {
  const auto first = [](int64_t count)
                         HWY_ATTR { return first_lanes(int(std::clamp<int64_t>(count, 0, kLanes))); };
  return hn::AndNot(first(-at), first(size - at));
}
// A vector with zeros in the other lanes, the memory of which is not touched.
HWY_INLINE V load_inside(const float* from, InsideLanes lanes) {
  return hn::MaskedLoad(lanes, kFloats, from);
}
#else
struct InsideLanes {
  int begin, end;
};
HWY_INLINE InsideLanes inside_lanes(int64_t at, int64_t size) {
  return {int(std::clamp<int64_t>(-at, 0, kLanes)), int(std::clamp<int64_t>(size - at, 0, kLanes))};
}
inline HWY_NOINLINE V load_inside(const float* from, InsideLanes lanes) {
  alignas(64) float values[kLanes] = {};
  for (int i = lanes.begin; i < lanes.end; ++i) values[i] = from[i];
  return hn::Load(kFloats, values);
}
#endif

// A vector from `row + at`, zero outside of the `size` floats of the row.
HWY_INLINE V load_inside(const float* row, int64_t at, int64_t size) {
  return load_inside(row + at, inside_lanes(at, size));
}

// Spreads the i-th input of each group over the lanes of its outputs.
class Spread {
 public:
  explicit Spread(const GroupProduct& c) {
    for (int i = 0; i < std::min(c.in_channels_, kLanes); ++i)
      for (int lane = 0; lane < kLanes; ++lane) lanes_[i][lane] = lane / c.out_channels_ * c.in_channels_ + i;
  }
  HWY_INLINE V operator()(V x, int i) const {
    return hn::TableLookupLanes(x, hn::SetTableIndices(kFloats, lanes_[i]));
  }

 private:
  alignas(64) int32_t lanes_[kLanes][kLanes];
};

}  // namespace osprey::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
