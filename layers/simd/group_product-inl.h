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

// Where only some of the values are inside; out of line, since loops have many of these loads.
inline HWY_NOINLINE V load_partly(const float* row, int64_t at, int64_t size) {
  alignas(64) float values[kLanes] = {};
  for (int64_t i = std::max<int64_t>(-at, 0); i < std::min<int64_t>(kLanes, size - at); ++i)
    values[i] = row[at + i];
  return hn::Load(kFloats, values);
}

// A vector from `row + at`, zero outside of the `size` floats of the row.
HWY_INLINE V load_inside(const float* row, int64_t at, int64_t size) {
  if (at >= 0 && at + kLanes <= size) return hn::LoadU(kFloats, row + at);
  if (at + kLanes <= 0 || at >= size) return hn::Zero(kFloats);
  return load_partly(row, at, size);
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
