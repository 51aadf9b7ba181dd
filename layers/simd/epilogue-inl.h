// The epilogue of a tile of sums, for each kind of processor.
#if defined(OSPREY_LAYERS_SIMD_EPILOGUE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef OSPREY_LAYERS_SIMD_EPILOGUE_INL_H_
#undef OSPREY_LAYERS_SIMD_EPILOGUE_INL_H_
#else
#define OSPREY_LAYERS_SIMD_EPILOGUE_INL_H_
#endif

#include <hwy/highway.h>

#include "layers/simd/epilogue.h"
#include "layers/simd/outer_product-inl.h"
#include "layers/vector_loop.h"

HWY_BEFORE_NAMESPACE();
namespace osprey::simd::HWY_NAMESPACE {

// What must be done about it is asked once for all vectors. Of two values the comparison of which is false,
// as of NaN, processors return the second: NaN stays.
template <int P, int NV>
HWY_INLINE void bound(V (&x)[P][NV], const Bounds& b) {
  if (b.steep()) {
    const V slope = hn::Set(kFloats, b.slope);
    OSPREY_UNROLL
    for (int p = 0; p < P; ++p) {
      OSPREY_UNROLL
      for (int v = 0; v < NV; ++v) x[p][v] = hn::Max(hn::Mul(slope, x[p][v]), x[p][v]);
    }
  }
  if (b.clamp()) {
    const V low = hn::Set(kFloats, b.low), high = hn::Set(kFloats, b.high);
    OSPREY_UNROLL
    for (int p = 0; p < P; ++p) {
      OSPREY_UNROLL
      for (int v = 0; v < NV; ++v) x[p][v] = hn::Min(high, hn::Max(low, x[p][v]));
    }
  }
}

HWY_INLINE V load(const float* from) { return hn::LoadU(kFloats, from); }

// The first `count` values, if there are fewer than a vector holds; no memory behind them is touched.
HWY_INLINE V load_first(const float* from, int count) {
  if (count >= kLanes) return hn::LoadU(kFloats, from);
#if HWY_TARGET <= HWY_AVX2
  return hn::MaskedLoad(hn::FirstN(kFloats, size_t(count)), kFloats, from);
#else
  alignas(64) float values[kLanes] = {};
  for (int i = 0; i < kLanes && i < count; ++i) values[i] = from[i];
  return hn::Load(kFloats, values);
#endif
}

HWY_INLINE void store_first(V x, float* to, int count) {
  if (count >= kLanes) return hn::StoreU(x, kFloats, to);
#if HWY_TARGET <= HWY_AVX2
  hn::BlendedStore(x, hn::FirstN(kFloats, size_t(count)), kFloats, to);
#else
  alignas(64) float values[kLanes];
  hn::Store(x, kFloats, values);
  for (int i = 0; i < kLanes && i < count; ++i) to[i] = values[i];
#endif
}

// Activations that are more than bounds, on values that were just stored.
inline HWY_NOINLINE void activate_stored(const Finish& e, float* values, const float* residual, int count) {
  with_activation(e.activation, [=](auto act) HWY_ATTR {
    VECTOR_LOOP
    for (int i = 0; i < count; ++i) values[i] = activate(act, values[i]);
  });
  if (!residual) return;
  with_activation(e.residual_activation, [=](auto act) HWY_ATTR {
    VECTOR_LOOP
    for (int i = 0; i < count; ++i) values[i] = activate(act, values[i] + residual[i]);
  });
}

// All that can be done in registers, for an output of T.
template <class T, int P, int NV>
HWY_INLINE void finish_sums(V (&sums)[P][NV], const int64_t* places, int filters, const Finish& e) {
  if (e.factors) {
    OSPREY_UNROLL
    for (int v = 0; v < NV; ++v) {
      const V factor = load_first(e.factors + v * kLanes, filters - v * kLanes);
      OSPREY_UNROLL
      for (int p = 0; p < P; ++p) sums[p][v] = hn::Mul(sums[p][v], factor);
    }
  }
  if (e.bias) {
    OSPREY_UNROLL
    for (int v = 0; v < NV; ++v) {
      const V bias = load_first(e.bias + v * kLanes, filters - v * kLanes);
      OSPREY_UNROLL
      for (int p = 0; p < P; ++p) sums[p][v] = hn::Add(sums[p][v], bias);
    }
  }
  if (!e.both_bounded) return;
  bound(sums, e.own);
  if (!e.residual) return;
  const T* residual = static_cast<const T*>(e.residual);
  OSPREY_UNROLL
  for (int p = 0; p < P; ++p) {
    OSPREY_UNROLL
    for (int v = 0; v < NV; ++v)
      sums[p][v] = hn::Add(sums[p][v], load_first(residual + places[p] + v * kLanes, filters - v * kLanes));
  }
  bound(sums, e.of_sum);
}

// Row p goes to out + places[p]; `filters` values of it.
template <int P, int NV>
HWY_INLINE void finish(V (&sums)[P][NV], const int64_t* places, int filters, const Finish& e, float* out) {
  finish_sums<float>(sums, places, filters, e);
  if (filters == NV * kLanes) {
    OSPREY_UNROLL
    for (int p = 0; p < P; ++p) {
      OSPREY_UNROLL
      for (int v = 0; v < NV; ++v) hn::StoreU(sums[p][v], kFloats, out + places[p] + v * kLanes);
    }
  } else {
    OSPREY_UNROLL
    for (int p = 0; p < P; ++p) {
      OSPREY_UNROLL
      for (int v = 0; v < NV; ++v)
        store_first(sums[p][v], out + places[p] + v * kLanes, filters - v * kLanes);
    }
  }
  if (e.both_bounded) return;
  const float* residual = static_cast<const float*>(e.residual);
  for (int p = 0; p < P; ++p)
    activate_stored(e, out + places[p], residual ? residual + places[p] : nullptr, filters);
}

// Activations that are more than bounds, on a vector of sums whose addends are `count` values of bf16, or
// none.
inline HWY_NOINLINE void activate_vector(const Finish& e, V& sum, const bf16* residual, int count) {
  alignas(64) float values[kLanes], others[kLanes];
  hn::Store(sum, kFloats, values);
  if (residual) hn::Store(load_first(residual, count), kFloats, others);
  activate_stored(e, values, residual ? others : nullptr, kLanes < count ? kLanes : count);
  sum = hn::Load(kFloats, values);
}

// The same where bf16 is wanted: sums are activated as floats, and rounded once.
template <int P, int NV>
OSPREY_BF16_PRODUCTS HWY_INLINE void finish(V (&sums)[P][NV], const int64_t* places, int filters,
                                            const Finish& e, bf16* out) {
  finish_sums<bf16>(sums, places, filters, e);
  if (!e.both_bounded) {
    const bf16* residual = static_cast<const bf16*>(e.residual);
    V stored[P * NV];
    OSPREY_UNROLL
    for (int i = 0; i < P * NV; ++i) stored[i] = sums[i / NV][i % NV];
    for (int i = 0; i < P * NV; ++i) {
      const int v = i % NV * kLanes;
      activate_vector(e, stored[i], residual ? residual + places[i / NV] + v : nullptr, filters - v);
    }
    OSPREY_UNROLL
    for (int i = 0; i < P * NV; ++i) sums[i / NV][i % NV] = stored[i];
  }
  OSPREY_UNROLL
  for (int p = 0; p < P; ++p) {
    OSPREY_UNROLL
    for (int v = 0; v < NV; ++v) store_first(sums[p][v], out + places[p] + v * kLanes, filters - v * kLanes);
  }
}

// The same for callers that are compiled without bf16.
template <int P>
OSPREY_BF16_PRODUCTS HWY_NOINLINE void finish_apart(V (&sums)[P][1], const int64_t* places, int filters,
                                                    const Finish& e, bf16* out) {
  finish<P, 1>(sums, places, filters, e, out);
}
template <int P>
HWY_INLINE void finish_apart(V (&sums)[P][1], const int64_t* places, int filters, const Finish& e,
                             float* out) {
  finish<P, 1>(sums, places, filters, e, out);
}

// The same of vectors that lie side by side in `out` and hold `count` values together; each has the same
// factors and biases.
template <int N>
HWY_INLINE void finish_row(V (&sums)[N][1], const int64_t* places, int count, const Finish& e, float* out) {
  if (count == N * kLanes) return finish<N, 1>(sums, places, kLanes, e, out);
  if constexpr (N > 1) {
    V whole[N - 1][1];
    OSPREY_UNROLL
    for (int v = 0; v + 1 < N; ++v) whole[v][0] = sums[v][0];
    finish<N - 1, 1>(whole, places, kLanes, e, out);
  }
  V last[1][1] = {{sums[N - 1][0]}};
  finish<1, 1>(last, places + N - 1, count - (N - 1) * kLanes, e, out);
}

}  // namespace osprey::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
