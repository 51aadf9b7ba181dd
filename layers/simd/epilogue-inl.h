// The epilogue of a tile of sums, for each kind of processor.
#if defined(OSPREY_LAYERS_SIMD_EPILOGUE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef OSPREY_LAYERS_SIMD_EPILOGUE_INL_H_
#undef OSPREY_LAYERS_SIMD_EPILOGUE_INL_H_
#else
#define OSPREY_LAYERS_SIMD_EPILOGUE_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>

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
HWY_INLINE void store(V x, float* to) { hn::StoreU(x, kFloats, to); }

// No memory behind these lanes is touched, and the others are 0. A mask serves whole vectors, too: a tile has
// many of these, and code for both would be half of it.
HWY_INLINE V load_first(const float* from, FirstLanes lanes) {
#if HWY_TARGET <= HWY_AVX2
  return hn::MaskedLoad(lanes, kFloats, from);
#else
  alignas(64) float values[kLanes] = {};
  for (int i = 0; i < lanes; ++i) values[i] = from[i];
  return hn::Load(kFloats, values);
#endif
}

HWY_INLINE V load_first_as_stored(const float* from, FirstLanes lanes) { return load_first(from, lanes); }
// Lanes that the type at `to` can hold exactly.
HWY_INLINE V as_stored(V x, const float*) { return x; }
HWY_INLINE Bf16Vector as_stored(V x, const bf16*) { return as_bf16(x); }

HWY_INLINE void store_first(V x, float* to, FirstLanes lanes) {
#if HWY_TARGET <= HWY_AVX2
  hn::BlendedStore(x, lanes, kFloats, to);
#else
  alignas(64) float values[kLanes];
  hn::Store(x, kFloats, values);
  for (int i = 0; i < lanes; ++i) to[i] = values[i];
#endif
}

// to[p * step + i] = sums[p][i], plus what is there with `add`, for i < count. Whole vectors have no mask:
// some processors are slow to store with one.
template <int P, int NV>
HWY_INLINE void store_tile(V (&sums)[P][NV], bool add, float* to, int64_t step, int count) {
  OSPREY_UNROLL
  for (int v = 0; v < NV; ++v, to += kLanes, count -= kLanes) {
    const FirstLanes lanes = first_lanes(count);
    if (add) {
      OSPREY_UNROLL
      for (int p = 0; p < P; ++p) sums[p][v] = hn::Add(load_first(to + p * step, lanes), sums[p][v]);
    }
    if (count >= kLanes) {
      OSPREY_UNROLL
      for (int p = 0; p < P; ++p) store(sums[p][v], to + p * step);
    } else {
      OSPREY_UNROLL
      for (int p = 0; p < P; ++p) store_first(sums[p][v], to + p * step, lanes);
    }
  }
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

// All that can be done in registers, for an output of T. Of NV vectors only the last may be cut off, to
// `lanes`.
template <class T, int P, int NV>
HWY_INLINE void finish_sums(V (&sums)[P][NV], const int64_t* places, FirstLanes lanes, const Finish& e) {
  const auto load_vector = [=](const auto* from, int v) HWY_ATTR {
    return v + 1 < NV ? load(from + v * kLanes) : load_first(from + v * kLanes, lanes);
  };
  if (e.factors) {
    OSPREY_UNROLL
    for (int v = 0; v < NV; ++v) {
      const V factor = load_vector(e.factors, v);
      OSPREY_UNROLL
      for (int p = 0; p < P; ++p) sums[p][v] = hn::Mul(sums[p][v], factor);
    }
  }
  if (e.bias) {
    OSPREY_UNROLL
    for (int v = 0; v < NV; ++v) {
      const V bias = load_vector(e.bias, v);
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
    for (int v = 0; v < NV; ++v) sums[p][v] = hn::Add(sums[p][v], load_vector(residual + places[p], v));
  }
  bound(sums, e.of_sum);
}

// Row p goes to out + places[p]; `filters` values of it. Vectors are those that T is stored from.
template <class T, class Vector, int P, int NV>
HWY_INLINE void store_sums(const Vector (&sums)[P][NV], const int64_t* places, int filters, FirstLanes lanes,
                           T* out) {
  if (filters == NV * kLanes) {
    OSPREY_UNROLL
    for (int p = 0; p < P; ++p) {
      OSPREY_UNROLL
      for (int v = 0; v < NV; ++v) store(sums[p][v], out + places[p] + v * kLanes);
    }
    return;
  }
  OSPREY_UNROLL
  for (int p = 0; p < P; ++p) {
    OSPREY_UNROLL
    for (int v = 0; v + 1 < NV; ++v) store(sums[p][v], out + places[p] + v * kLanes);
    store_first(sums[p][NV - 1], out + places[p] + (NV - 1) * kLanes, lanes);
  }
}

// A last row may have the place of the one before it, which it repeats.
template <int P, int NV>
HWY_INLINE void finish(V (&sums)[P][NV], const int64_t* places, int filters, const Finish& e, float* out) {
  const FirstLanes lanes = first_lanes(filters - (NV - 1) * kLanes);
  finish_sums<float>(sums, places, lanes, e);
  store_sums(sums, places, filters, lanes, out);
  if (e.both_bounded) return;
  const float* residual = static_cast<const float*>(e.residual);
  for (int p = 0; p < P; ++p)
    if (p == 0 || places[p] != places[p - 1])
      activate_stored(e, out + places[p], residual ? residual + places[p] : nullptr, filters);
}

// Sums of rows of `vectors` vectors that are activated as floats, and rounded once.
OSPREY_BF16_PRODUCTS inline HWY_NOINLINE void activate_and_store(V* sums, int rows, int vectors,
                                                                 const int64_t* places, int filters,
                                                                 const Finish& e, bf16* out) {
  for (int i = 0; i < rows * vectors; ++i) {
    const int64_t place = places[i / vectors] + i % vectors * kLanes;
    const int count = filters - i % vectors * kLanes;
    alignas(64) float values[kLanes], others[kLanes];
    hn::Store(sums[i], kFloats, values);
    if (e.residual)
      hn::Store(load_first(static_cast<const bf16*>(e.residual) + place, first_lanes(count)), kFloats,
                others);
    activate_stored(e, values, e.residual ? others : nullptr, std::min(count, kLanes));
    sums[i] = hn::Load(kFloats, values);
  }
  for (int i = 0; i < rows * vectors; ++i)
    store_first(rounded(sums[i]), out + places[i / vectors] + i % vectors * kLanes,
                first_lanes(filters - i % vectors * kLanes));
}

// The same where bf16 is wanted.
template <int P, int NV>
OSPREY_BF16_PRODUCTS HWY_INLINE void finish(V (&sums)[P][NV], const int64_t* places, int filters,
                                            const Finish& e, bf16* out) {
  const FirstLanes lanes = first_lanes(filters - (NV - 1) * kLanes);
  finish_sums<bf16>(sums, places, lanes, e);
  if (!e.both_bounded) {
    V stored[P * NV];
    OSPREY_UNROLL
    for (int i = 0; i < P * NV; ++i) stored[i] = sums[i / NV][i % NV];
    return activate_and_store(stored, P, NV, places, filters, e, out);
  }
  Bf16Vector halves[P][NV];
  OSPREY_UNROLL
  for (int i = 0; i < P * NV; ++i) halves[i / NV][i % NV] = rounded(sums[i / NV][i % NV]);
  store_sums(halves, places, filters, lanes, out);
}

// The same of `count` rows of a vector, P at a time, for callers that are compiled without bf16.
template <int P>
OSPREY_BF16_PRODUCTS HWY_NOINLINE void finish_apart(const V* sums, int count, const int64_t* places,
                                                    int filters, const Finish& e, bf16* out) {
  for (int i = 0; i < count; i += P) {
    V some[P][1];
    OSPREY_UNROLL
    for (int p = 0; p < P; ++p) some[p][0] = sums[i + p];
    finish<P, 1>(some, places + i, filters, e, out);
  }
}
template <int P>
HWY_INLINE void finish_apart(const V* sums, int count, const int64_t* places, int filters, const Finish& e,
                             float* out) {
  for (int i = 0; i < count; i += P) {
    V some[P][1];
    OSPREY_UNROLL
    for (int p = 0; p < P; ++p) some[p][0] = sums[i + p];
    finish<P, 1>(some, places + i, filters, e, out);
  }
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
