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

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "core/bf16.h"

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

// Whether this is compiled for processors that may multiply bf16.
inline constexpr bool kBf16Products = HWY_TARGET == HWY_AVX3;

#define OSPREY_UNROLL _Pragma("GCC unroll 64")

// The first `count` lanes: none if it is negative, or all.
#if HWY_TARGET <= HWY_AVX3
using FirstLanes = hn::Mask<Floats>;
HWY_INLINE FirstLanes first_lanes(int count) { return {__mmask16((1u << std::clamp(count, 0, kLanes)) - 1)}; }
#elif HWY_TARGET == HWY_AVX2
using FirstLanes = hn::Mask<Floats>;
HWY_INLINE FirstLanes first_lanes(int count) {
  return hn::FirstN(kFloats, size_t(std::clamp(count, 0, kLanes)));
}
#else
using FirstLanes = int;
HWY_INLINE FirstLanes first_lanes(int count) { return std::clamp(count, 0, kLanes); }
#endif

template <int P, int NV>
HWY_INLINE void clear(V (&sums)[P][NV]) {
  OSPREY_UNROLL
  for (int p = 0; p < P; ++p) {
    OSPREY_UNROLL
    for (int v = 0; v < NV; ++v) sums[p][v] = hn::Zero(kFloats);
  }
}

// Asks for as many bytes as NV vectors have, so far ahead: weights go by once for some rows, from beyond the
// first cache. Of 2 to 16 KiB this was best.
template <int NV>
HWY_INLINE void expect_weights(const void* weights) {
  constexpr int kAhead = 8 << 10, kLine = 64;
  for (int i = 0; i < NV * int(sizeof(float)) * kLanes; i += kLine)
    __builtin_prefetch(static_cast<const char*>(weights) + kAhead + i);
}

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
      expect_weights<NV>(weights);
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

// sums[p][v] += over i < steps: x[p][i * x_step] * w[v][i * w_step ...]
template <int P, int NV>
HWY_INLINE void add_strided_products(const float* const (&x)[P], int64_t x_step, const float* const (&w)[NV],
                                     int64_t w_step, int64_t steps, V (&sums)[P][NV]) {
  for (int64_t i = 0, at = 0, of_w = 0; i < steps; ++i, at += x_step, of_w += w_step) {
    V vectors[NV];
    OSPREY_UNROLL
    for (int v = 0; v < NV; ++v) vectors[v] = hn::LoadU(kFloats, w[v] + of_w);
    OSPREY_UNROLL
    for (int p = 0; p < P; ++p) {
      const V value = hn::Set(kFloats, x[p][at]);
      OSPREY_UNROLL
      for (int v = 0; v < NV; ++v) sums[p][v] = hn::MulAdd(value, vectors[v], sums[p][v]);
    }
  }
}

// K neighbouring values, again and again.
template <int K>
HWY_INLINE V repeat(const float* x) {
  static_assert(K == 2 || K == 4);
  if constexpr (K == 4) return hn::LoadDup128(kFloats, x);
  uint64_t pair;
  std::memcpy(&pair, x, sizeof pair);
  return hn::BitCast(kFloats, hn::Set(hn::Repartition<uint64_t, Floats>(), pair));
}

// The same for so few columns of weights that a vector holds those of K values: [t][i / K][column][i % K].
// Lanes of a column are still to be added.
template <int K, int P>
HWY_INLINE void add_narrow_outer_products(const float* const* rows, int taps, int length,
                                          const float* weights, V (&sums)[P][1]) {
  for (int t = 0; t < taps; ++t, rows += kRows) {
    const float* x[P];
    OSPREY_UNROLL
    for (int p = 0; p < P; ++p) x[p] = rows[p];
    for (int i = 0; i < length; i += K, weights += kLanes) {
      const V w = hn::LoadU(kFloats, weights);
      OSPREY_UNROLL
      for (int p = 0; p < P; ++p) sums[p][0] = hn::MulAdd(repeat<K>(x[p] + i), w, sums[p][0]);
    }
  }
}

// Adds neighbouring lanes: of two vectors become one, of P of them sums[0 .. (P + 1) / 2).
template <int P>
HWY_INLINE void add_neighbouring_lanes(V (&sums)[P][1]) {
  OSPREY_UNROLL
  for (int p = 0; p < P; p += 2) {
    const V first = sums[p][0], second = sums[p + 1 < P ? p + 1 : p][0];
    sums[p / 2][0] = hn::Add(hn::ConcatEven(kFloats, second, first), hn::ConcatOdd(kFloats, second, first));
  }
}

// bf16: x and weights rounded to 8 bits of precision, sums in float. The instruction multiplies pairs of
// neighbours, so rows hold `pairs` of them, and weights lie as [t][pair][v][lane][2]. Only some processors
// with AVX-512 have it: has_bf16_products().
#undef OSPREY_BF16_PRODUCTS
#if HWY_TARGET == HWY_AVX3
#define OSPREY_BF16_PRODUCTS __attribute__((target(HWY_TARGET_STR ",avx512bf16")))

template <int P, int NV>
OSPREY_BF16_PRODUCTS HWY_INLINE void add_outer_products(const bf16* const* rows, int taps, int pairs,
                                                        const bf16* weights, V (&sums)[P][NV]) {
  for (int t = 0; t < taps; ++t, rows += kRows) {
    const bf16* x[P];
    OSPREY_UNROLL
    for (int p = 0; p < P; ++p) x[p] = rows[p];
    for (int i = 0; i < pairs; ++i, weights += NV * kLanes * 2) {
      __m512i w[NV];
      expect_weights<NV>(weights);
      OSPREY_UNROLL
      for (int v = 0; v < NV; ++v) w[v] = _mm512_loadu_si512(weights + v * kLanes * 2);
      OSPREY_UNROLL
      for (int p = 0; p < P; ++p) {
        int pair;
        std::memcpy(&pair, x[p] + 2 * i, sizeof pair);
        const __m512i value = _mm512_set1_epi32(pair);
        OSPREY_UNROLL
        for (int v = 0; v < NV; ++v)
          sums[p][v].raw = _mm512_dpbf16_ps(sums[p][v].raw, (__m512bh)value, (__m512bh)w[v]);
      }
    }
  }
}

// The same of pairs: x[p][i * x_step + (0, 1)] with w[v][i * w_step + 2 lane + (0, 1)].
template <int P, int NV>
OSPREY_BF16_PRODUCTS HWY_INLINE void add_strided_products(const bf16* const (&x)[P], int64_t x_step,
                                                          const bf16* const (&w)[NV], int64_t w_step,
                                                          int64_t steps, V (&sums)[P][NV]) {
  for (int64_t i = 0, at = 0, of_w = 0; i < steps; ++i, at += x_step, of_w += w_step) {
    __m512i vectors[NV];
    OSPREY_UNROLL
    for (int v = 0; v < NV; ++v) vectors[v] = _mm512_loadu_si512(w[v] + of_w);
    OSPREY_UNROLL
    for (int p = 0; p < P; ++p) {
      int pair;
      std::memcpy(&pair, x[p] + at, sizeof pair);
      const __m512i value = _mm512_set1_epi32(pair);
      OSPREY_UNROLL
      for (int v = 0; v < NV; ++v)
        sums[p][v].raw = _mm512_dpbf16_ps(sums[p][v].raw, (__m512bh)value, (__m512bh)vectors[v]);
    }
  }
}

using Bf16Vector = __m256i;  // as many lanes as V has

// Neighbours as floats, and the first `count` of them, with zeros behind.
HWY_INLINE __m512 as_floats(Bf16Vector x) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16));
}
HWY_INLINE V load(const bf16* from) {
  return V{as_floats(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)))};
}
HWY_INLINE Bf16Vector load_first_as_stored(const bf16* from, FirstLanes lanes) {
  return _mm256_maskz_loadu_epi16(lanes.raw, from);
}
HWY_INLINE V load_first(const bf16* from, FirstLanes lanes) {
  return V{as_floats(load_first_as_stored(from, lanes))};
}

HWY_INLINE void store(Bf16Vector x, bf16* to) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), x); }
HWY_INLINE void store_first(Bf16Vector x, bf16* to, FirstLanes lanes) {
  _mm256_mask_storeu_epi16(to, lanes.raw, x);
}
// Lanes that bf16 can hold exactly.
HWY_INLINE Bf16Vector as_bf16(V x) {
  return _mm512_cvtepi32_epi16(_mm512_srli_epi32(_mm512_castps_si512(x.raw), 16));
}

// The lanes of x rounded to the nearest.
OSPREY_BF16_PRODUCTS HWY_INLINE Bf16Vector rounded(V x) { return (__m256i)_mm512_cvtneps_pbh(x.raw); }

// Lanes of a and of b, one after the other.
HWY_INLINE __m512i side_by_side(Bf16Vector a, Bf16Vector b) {
  return _mm512_or_si512(_mm512_cvtepu16_epi32(a), _mm512_slli_epi32(_mm512_cvtepu16_epi32(b), 16));
}

// a and b rounded to the nearest, and their lanes side by side.
OSPREY_BF16_PRODUCTS HWY_INLINE __m512i rounded_pair(__m512 a, __m512 b) {
  return side_by_side(rounded(V{a}), rounded(V{b}));
}

// to[i * step ...] = the lanes of x[i], rounded to the nearest.
OSPREY_BF16_PRODUCTS inline HWY_NOINLINE void round_vectors(const V* x, int count, bf16* to, int64_t step) {
  for (int i = 0; i < count; ++i) store(rounded(x[i]), to + i * step);
}

// The same of two, side by side: to[i * step + 2 lane + (0, 1)] = a[i], b[i].
OSPREY_BF16_PRODUCTS inline HWY_NOINLINE void round_vector_pairs(const V* a, const V* b, int count, bf16* to,
                                                                 int64_t step) {
  for (int i = 0; i < count; ++i) _mm512_storeu_si512(to + i * step, rounded_pair(a[i].raw, b[i].raw));
}

// The same of neighbours: to[i] = x[i], for a multiple of kLanes.
OSPREY_BF16_PRODUCTS inline HWY_NOINLINE void round_row(const float* x, int64_t count, bf16* to) {
  for (int64_t i = 0; i < count; i += kLanes) store(rounded(hn::LoadU(kFloats, x + i)), to + i);
}

// Of rows two by two, side by side: to[row / 2][i][row % 2] = x[row][i], for `count` values of each row.
// Where a last one has no other, and up to the next multiple of kLanes, with zeros.
OSPREY_BF16_PRODUCTS inline HWY_NOINLINE void round_pairs(const float* x, int64_t step, int count, int rows,
                                                          bf16* to, int64_t to_step) {
  const int whole = count / kLanes * kLanes;
  const __mmask16 rest = __mmask16((1 << (count - whole)) - 1);
  for (; rows > 1; rows -= 2, x += 2 * step, to += to_step) {
    for (int i = 0; i < whole; i += kLanes)
      _mm512_storeu_si512(to + 2 * i, rounded_pair(_mm512_loadu_ps(x + i), _mm512_loadu_ps(x + step + i)));
    if (rest)
      _mm512_storeu_si512(to + 2 * whole, rounded_pair(_mm512_maskz_loadu_ps(rest, x + whole),
                                                       _mm512_maskz_loadu_ps(rest, x + step + whole)));
  }
  for (int i = 0; rows == 1 && i < count; i += kLanes)
    _mm512_storeu_si512(
        to + 2 * i,
        rounded_pair(_mm512_maskz_loadu_ps(i < whole ? __mmask16(-1) : rest, x + i), _mm512_setzero_ps()));
}

// The same of values that are in bf16 already.
inline HWY_NOINLINE void round_pairs(const bf16* x, int64_t step, int count, int rows, bf16* to,
                                     int64_t to_step) {
  for (; rows > 0; rows -= 2, x += 2 * step, to += to_step)
    for (int i = 0; i < count; i += kLanes)
      _mm512_storeu_si512(to + 2 * i,
                          side_by_side(load_first_as_stored(x + i, first_lanes(count - i)),
                                       rows > 1 ? load_first_as_stored(x + step + i, first_lanes(count - i))
                                                : _mm256_setzero_si256()));
}
#else
#define OSPREY_BF16_PRODUCTS

// What is compiled for a processor that does not have them, and never called there.
inline void refuse() { HWY_ABORT("products of bf16 without has_bf16_products()"); }

struct Bf16Vector {};

template <int P, int NV>
HWY_INLINE void add_outer_products(const bf16* const*, int, int, const bf16*, V (&)[P][NV]) {
  refuse();
}
template <int P, int NV>
HWY_INLINE void add_strided_products(const bf16* const (&)[P], int64_t, const bf16* const (&)[NV], int64_t,
                                     int64_t, V (&)[P][NV]) {
  refuse();
}
inline V load(const bf16*) {
  refuse();
  return hn::Zero(kFloats);
}
inline V load_first(const bf16* from, FirstLanes) { return load(from); }
inline Bf16Vector load_first_as_stored(const bf16*, FirstLanes) { return {}; }
inline Bf16Vector rounded(V) {
  refuse();
  return {};
}
inline Bf16Vector as_bf16(V x) { return rounded(x); }
inline void store(Bf16Vector, bf16*) {}
inline void store_first(Bf16Vector, bf16*, FirstLanes) {}
inline void round_vectors(const V*, int, bf16*, int64_t) { refuse(); }
inline void round_vector_pairs(const V*, const V*, int, bf16*, int64_t) { refuse(); }
inline void round_row(const float*, int64_t, bf16*) { refuse(); }
template <class T>
void round_pairs(const T*, int64_t, int, int, bf16*, int64_t) {
  refuse();
}
#endif

}  // namespace osprey::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
