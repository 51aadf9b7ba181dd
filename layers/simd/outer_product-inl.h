// The loop in which convolutions spend their time: sums of outer products, kept in registers. Each of P rows
// of x holds `length` values; a value is multiplied with the NV vectors of weights of its place, and added to
// the NV vectors of sums of its row. Included once for each kind of processor (Highway's foreach_target).
#if defined(OSPREY_LAYERS_SIMD_OUTER_PRODUCT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef OSPREY_LAYERS_SIMD_OUTER_PRODUCT_INL_H_
#undef OSPREY_LAYERS_SIMD_OUTER_PRODUCT_INL_H_
#else
#define OSPREY_LAYERS_SIMD_OUTER_PRODUCT_INL_H_
#endif

#include <hwy/highway.h>

#include <cstddef>

HWY_BEFORE_NAMESPACE();
namespace osprey::simd::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using Floats = hn::ScalableTag<float>;
using V = hn::Vec<Floats>;

inline constexpr Floats kFloats;
inline constexpr int kLanes = int(hn::MaxLanes(Floats()));

// 32 registers hold 12 x 2 sums, two weights and a value; 16 hold 6 x 2.
#if HWY_TARGET == HWY_NEON || HWY_TARGET <= HWY_AVX3
inline constexpr int kRows = 12;
#else
inline constexpr int kRows = 6;
#endif
inline constexpr int kVectors = 2;
inline constexpr int kPanel = kVectors * kLanes;  // filters that are summed together

#define OSPREY_UNROLL _Pragma("GCC unroll 64")

// sums[p][v] += over t and i: rows[t * kRows + p][i] * weights[t][i][v]
template <int P, int NV>
HWY_INLINE void add_outer_products(const float* const* rows, int taps, int length, const float* weights,
                                   V (&sums)[P][NV]) {
  for (int t = 0; t < taps; ++t, rows += kRows) {
    const float* x[P];
    OSPREY_UNROLL
    for (int p = 0; p < P; ++p) x[p] = rows[p];
    for (int i = 0; i < length; ++i, weights += NV * kLanes) {
      V w[NV];
      OSPREY_UNROLL
      for (int v = 0; v < NV; ++v) w[v] = hn::LoadU(kFloats, weights + v * kLanes);
      OSPREY_UNROLL
      for (int p = 0; p < P; ++p) {
        const V value = hn::Set(kFloats, x[p][i]);
        OSPREY_UNROLL
        for (int v = 0; v < NV; ++v) sums[p][v] = hn::MulAdd(value, w[v], sums[p][v]);
      }
    }
  }
}

}  // namespace osprey::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
