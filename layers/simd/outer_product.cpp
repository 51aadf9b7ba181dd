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
bool bf16_products() {
#if HWY_TARGET == HWY_AVX3
  return __builtin_cpu_supports("avx512bf16");
#else
  return false;
#endif
}

}  // namespace osprey::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace osprey::simd {

HWY_EXPORT(panel);
HWY_EXPORT(lanes);
HWY_EXPORT(bf16_products);

int panel_width() { return HWY_DYNAMIC_DISPATCH(panel)(); }
int vector_width() { return HWY_DYNAMIC_DISPATCH(lanes)(); }
bool has_bf16_products() { return HWY_DYNAMIC_DISPATCH(bf16_products)(); }

}  // namespace osprey::simd
#endif
