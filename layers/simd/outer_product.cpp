#include "layers/simd/outer_product.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "layers/simd/outer_product.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h
//
#include "layers/simd/outer_product-inl.h"

HWY_BEFORE_NAMESPACE();
namespace osprey::simd::HWY_NAMESPACE {

int panel() { return kPanel; }
int lanes() { return kLanes; }

}  // namespace osprey::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace osprey::simd {

HWY_EXPORT(panel);
HWY_EXPORT(lanes);

int panel_width() { return HWY_DYNAMIC_DISPATCH(panel)(); }
int vector_width() { return HWY_DYNAMIC_DISPATCH(lanes)(); }

}  // namespace osprey::simd
#endif
