#include "layers/simd/largest.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "layers/simd/largest.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h
//
#include "layers/simd/epilogue-inl.h"

HWY_BEFORE_NAMESPACE();
namespace osprey::simd::HWY_NAMESPACE {
namespace {

// `load(at)` is a vector of one pixel's channels. Where values are not ordered, Max is its second argument.
template <class Load>
HWY_INLINE V largest(const Windows& w, Load&& load) {
  V most = load(0);
  for (int r = 0; r < w.rows; ++r)
    for (int s = r == 0 ? 1 : 0; s < w.columns; ++s) most = hn::Max(load(r * w.row + s * w.pixel), most);
  return most;
}

void largest_of_each(const float* x, const Windows& w, int count, float* y) {
  for (int i = 0; i < count; ++i, x += w.step, y += w.made) {
    int c = 0;
    for (; c + kLanes <= w.channels; c += kLanes)
      hn::StoreU(largest(w, [&](int64_t at) HWY_ATTR { return load(x + at + c); }), kFloats, y + c);
    if (c == w.channels) continue;
    const FirstLanes left = first_lanes(w.channels - c);
    store_first(largest(w, [&](int64_t at) HWY_ATTR { return load_first(x + at + c, left); }), y + c, left);
  }
}

void largest_of_each_in_bf16(const bf16* x, const Windows& w, int count, bf16* y) {
  for (int i = 0; i < count; ++i, x += w.step, y += w.made) {
    int c = 0;
    for (; c + kLanes <= w.channels; c += kLanes)
      store(as_bf16(largest(w, [&](int64_t at) HWY_ATTR { return load(x + at + c); })), y + c);
    if (c == w.channels) continue;
    const FirstLanes left = first_lanes(w.channels - c);
    store_first(as_bf16(largest(w, [&](int64_t at) HWY_ATTR { return load_first(x + at + c, left); })), y + c,
                left);
  }
}

}  // namespace
}  // namespace osprey::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace osprey::simd {

HWY_EXPORT(largest_of_each);
HWY_EXPORT(largest_of_each_in_bf16);

void largest_in_windows(const float* x, const Windows& windows, int count, float* y) {
  HWY_DYNAMIC_DISPATCH(largest_of_each)(x, windows, count, y);
}
void largest_in_windows(const bf16* x, const Windows& windows, int count, bf16* y) {
  HWY_DYNAMIC_DISPATCH(largest_of_each_in_bf16)(x, windows, count, y);
}

}  // namespace osprey::simd
#endif
