// The transforms of Winograd's minimal filtering, of one row or column; `step` is from one of its values to
// the next. The points of interpolation are 0, 1, -1 and infinity; m = 4 adds 2 and -2, m = 6 also 1/2 and
// -1/2, and m = 5 adds 1/2, -1/2 and 2.
// With stride 2 (S = 2, m = 4) even pixels of a row meet the first and the last tap, odd ones the one
// between. A window of 2 taps takes 5 products for 4 outputs, at the points 0, 1, -1, 2 and infinity, and one
// of 1 tap 4: even pixels are transformed, odd ones are used as they are, and all of these with the same
// weight. Included once for each kind of processor (Highway's foreach_target).
#if defined(OSPREY_LAYERS_SIMD_WINOGRAD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef OSPREY_LAYERS_SIMD_WINOGRAD_INL_H_
#undef OSPREY_LAYERS_SIMD_WINOGRAD_INL_H_
#else
#define OSPREY_LAYERS_SIMD_WINOGRAD_INL_H_
#endif

#include <hwy/cache_control.h>

#include <cstddef>
#include <cstring>

#include "core/tensor.h"
#include "layers/simd/epilogue-inl.h"
#include "layers/simd/outer_product-inl.h"

HWY_BEFORE_NAMESPACE();
namespace osprey::simd::HWY_NAMESPACE {

HWY_INLINE V times(float factor, V x) { return hn::Mul(hn::Set(kFloats, factor), x); }
HWY_INLINE V plus(float factor, V x, V sum) { return hn::MulAdd(hn::Set(kFloats, factor), x, sum); }
HWY_INLINE V minus(float factor, V x, V sum) { return hn::NegMulAdd(hn::Set(kFloats, factor), x, sum); }

// Pixels of a row or column that a tile of m outputs sees, and values that they become.
template <int M, int S>
constexpr int kSide = (M - 1) * S + 3;
constexpr int kEven = 5, kOdd = 4;  // of them, with stride 2

// Inputs: B' x. Of points z and -z the sums of even and of odd powers are shared.
template <int M, int S>
HWY_INLINE void transform_input(const V* x, int step, V* out, int out_step) {
  const auto at = [=](int i) HWY_ATTR { return x[i * step]; };
  const auto put = [=](int i, V v) HWY_ATTR { out[i * out_step] = v; };
  if constexpr (S == 2) {  // the weights have no factors here, either
    static_assert(M == 4);
    const V odd = hn::Sub(at(6), at(2));
    put(0, plus(0.5f, odd, hn::Sub(at(0), at(4))));
    put(1, plus(0.5f, hn::Sub(at(4), at(6)), at(2)));
    put(2, minus(1.0f / 3, at(2), minus(1.0f / 6, at(6), times(0.5f, at(4)))));
    put(3, times(1.0f / 6, odd));
    put(4, minus(2, odd, hn::Sub(at(8), at(4))));
    OSPREY_UNROLL
    for (int i = 0; i < kOdd; ++i) put(kEven + i, at(2 * i + 1));
  } else if constexpr (M == 2) {
    put(0, hn::Sub(at(0), at(2)));
    put(1, hn::Add(at(2), at(1)));
    put(2, hn::Sub(at(2), at(1)));
    put(3, hn::Sub(at(1), at(3)));
  } else if constexpr (M == 4) {
    const V even1 = plus(-4, at(2), at(4)), odd1 = plus(-4, at(1), at(3));
    const V even2 = hn::Sub(at(4), at(2)), odd2 = times(2, hn::Sub(at(3), at(1)));
    put(0, plus(4, at(0), plus(-5, at(2), at(4))));
    put(1, hn::Add(even1, odd1));
    put(2, hn::Sub(even1, odd1));
    put(3, hn::Add(even2, odd2));
    put(4, hn::Sub(even2, odd2));
    put(5, plus(4, at(1), plus(-5, at(3), at(5))));
  } else if constexpr (M == 5) {
    // All points but 2 share the factor x - 2. The weights of m = 5, which are transformed most often, have
    // no factors of their own; inputs have them instead.
    V f[6];
    OSPREY_UNROLL
    for (int i = 0; i < 6; ++i) f[i] = plus(-2, at(i), at(i + 1));
    const V even1 = times(-2.0f / 3, plus(-0.25f, f[2], f[4])), odd1 = plus(-0.25f, f[1], f[3]);
    const V even2 = hn::Sub(f[4], f[2]), odd2 = times(0.5f, hn::Sub(f[3], f[1]));
    put(0, plus(-0.5f, f[0], plus(2.5f, f[2], times(-2, f[4]))));
    put(1, plus(-2.0f / 3, odd1, even1));
    put(2, times(1.0f / 3, plus(2.0f / 3, odd1, even1)));
    put(3, times(4.0f / 9, hn::Add(even2, odd2)));
    put(4, times(4.0f / 15, hn::Sub(even2, odd2)));
    put(5, times(2.0f / 45, plus(0.25f, at(1), plus(-1.25f, at(3), at(5)))));
    put(6, plus(0.25f, f[1], plus(-1.25f, f[3], f[5])));
  } else {
    const V even1 = plus(-4.25f, at(4), hn::Add(at(2), at(6)));
    const V odd1 = plus(-4.25f, at(3), hn::Add(at(1), at(5)));
    const V even2 = plus(0.25f, at(2), plus(-1.25f, at(4), at(6)));
    const V odd2 = plus(0.5f, at(1), plus(-2.5f, at(3), times(2, at(5))));
    const V even3 = plus(4, at(2), plus(-5, at(4), at(6)));
    const V odd3 = plus(2, at(1), plus(-2.5f, at(3), times(0.5f, at(5))));
    put(0, plus(5.25f, hn::Sub(at(4), at(2)), hn::Sub(at(0), at(6))));
    put(1, hn::Add(even1, odd1));
    put(2, hn::Sub(even1, odd1));
    put(3, hn::Add(even2, odd2));
    put(4, hn::Sub(even2, odd2));
    put(5, hn::Add(even3, odd3));
    put(6, hn::Sub(even3, odd3));
    put(7, plus(5.25f, hn::Sub(at(3), at(5)), hn::Sub(at(7), at(1))));
  }
}

// Sums: A' x, M values of kSide.
template <int M, int S>
HWY_INLINE void transform_output(const V* x, int step, V* out, int out_step) {
  const auto at = [=](int i) HWY_ATTR { return x[i * step]; };
  const auto put = [=](int i, V v) HWY_ATTR { out[i * out_step] = v; };
  const V even1 = hn::Add(at(1), at(2)), odd1 = hn::Sub(at(1), at(2));
  if constexpr (S == 2) {
    const V last = at(3), *of_odd = x + kEven * step;
    put(0, hn::Add(hn::Add(at(0), last), hn::Add(even1, of_odd[0])));
    put(1, plus(2, last, hn::Add(odd1, of_odd[step])));
    put(2, plus(4, last, hn::Add(even1, of_odd[2 * step])));
    put(3, hn::Add(plus(8, last, odd1), hn::Add(at(4), of_odd[3 * step])));
  } else if constexpr (M == 2) {
    put(0, hn::Add(at(0), even1));
    put(1, hn::Sub(odd1, at(3)));
  } else {
    const V even2 = hn::Add(at(3), at(4)), odd2 = hn::Sub(at(3), at(4));
    if constexpr (M == 4) {
      put(0, hn::Add(at(0), hn::Add(even1, even2)));
      put(1, plus(2, odd2, odd1));
      put(2, plus(4, even2, even1));
      put(3, hn::Add(plus(8, odd2, odd1), at(5)));
    } else if constexpr (M == 5) {
      const V last = at(5);
      put(0, hn::Add(hn::Add(at(0), last), hn::Add(even1, even2)));
      put(1, plus(2, last, plus(0.5f, odd2, odd1)));
      put(2, plus(4, last, plus(0.25f, even2, even1)));
      put(3, plus(8, last, plus(0.125f, odd2, odd1)));
      put(4, hn::Add(plus(16, last, plus(0.0625f, even2, even1)), at(6)));
    } else {
      const V even3 = hn::Add(at(5), at(6)), odd3 = hn::Sub(at(5), at(6));
      put(0, hn::Add(at(0), hn::Add(even1, hn::Add(even2, even3))));
      put(1, plus(2, odd2, plus(0.5f, odd3, odd1)));
      put(2, plus(4, even2, plus(0.25f, even3, even1)));
      put(3, plus(8, odd2, plus(0.125f, odd3, odd1)));
      put(4, plus(16, even2, plus(0.0625f, even3, even1)));
      put(5, hn::Add(plus(32, odd2, plus(0.03125f, odd3, odd1)), at(7)));
    }
  }
}

// Weights: G g, M + 2 values of 3. Products and sums that could be one instruction are: a compiler that chose
// would give other digits here and there.
template <int M, int S>
HWY_INLINE void transform_weights(const V* g, int step, V* out, int out_step) {
  const auto put = [=](int i, V v) HWY_ATTR { out[i * out_step] = v; };
  const V a = g[0], b = g[step], c = g[2 * step];
  const auto pair = [=](int i, float fa, float fb, float fc) HWY_ATTR {
    const V even = plus(fa, a, times(fc, c));
    put(i, plus(fb, b, even));
    put(i + 1, minus(fb, b, even));
  };
  if constexpr (S == 2) {
    put(0, a);
    put(1, hn::Add(a, c));
    put(2, hn::Sub(a, c));
    put(3, plus(2, c, a));
    put(4, c);
    put(5, b);
  } else if constexpr (M == 2) {
    put(0, a);
    pair(1, 0.5f, 0.5f, 0.5f);
    put(3, c);
  } else if constexpr (M == 4) {
    put(0, times(0.25f, a));
    pair(1, -1.0f / 6, -1.0f / 6, -1.0f / 6);
    pair(3, 1.0f / 24, 1.0f / 12, 1.0f / 6);
    put(5, c);
  } else if constexpr (M == 5) {
    const V even1 = hn::Add(a, c), even2 = plus(4, a, c);
    put(0, a);
    put(1, hn::Add(even1, b));
    put(2, hn::Sub(even1, b));
    put(3, plus(2, b, even2));
    put(4, minus(2, b, even2));
    put(5, plus(4, c, plus(2, b, a)));
    put(6, c);
  } else {
    put(0, a);
    pair(1, -2.0f / 9, -2.0f / 9, -2.0f / 9);
    pair(3, 1.0f / 90, 1.0f / 45, 2.0f / 45);
    pair(5, 32.0f / 45, 16.0f / 45, 8.0f / 45);
    put(7, c);
  }
}

// The gradient of sums: A y, M + 2 values of M. Its products with B' x are the gradient of G g.
template <int M>
HWY_INLINE void transform_sum_gradient(const V* y, int step, V* out, int out_step) {
  static_assert(M == 2 || M == 4);
  const auto at = [=](int i) HWY_ATTR { return y[i * step]; };
  const auto put = [=](int i, V v) HWY_ATTR { out[i * out_step] = v; };
  put(0, at(0));
  if constexpr (M == 2) {
    put(1, hn::Add(at(0), at(1)));
    put(2, hn::Sub(at(0), at(1)));
    put(3, hn::Neg(at(1)));
  } else {
    const V even1 = hn::Add(at(0), at(2)), odd1 = hn::Add(at(1), at(3));
    const V even2 = plus(4, at(2), at(0)), odd2 = times(2, plus(4, at(3), at(1)));
    put(1, hn::Add(even1, odd1));
    put(2, hn::Sub(even1, odd1));
    put(3, hn::Add(even2, odd2));
    put(4, hn::Sub(even2, odd2));
    put(5, at(3));
  }
}

// The gradient of weights: G' u, 3 values of M + 2.
template <int M>
HWY_INLINE void transform_weight_gradient(const V* u, int step, V* out, int out_step) {
  static_assert(M == 2 || M == 4);
  const auto at = [=](int i) HWY_ATTR { return u[i * step]; };
  const V even1 = hn::Add(at(1), at(2)), odd1 = hn::Sub(at(1), at(2));
  if constexpr (M == 2) {
    const V half = times(0.5f, even1);
    out[0] = hn::Add(at(0), half);
    out[out_step] = times(0.5f, odd1);
    out[2 * out_step] = hn::Add(half, at(3));
  } else {
    const V even2 = hn::Add(at(3), at(4)), odd2 = hn::Sub(at(3), at(4));
    out[0] = plus(0.25f, at(0), plus(-1.0f / 6, even1, times(1.0f / 24, even2)));
    out[out_step] = plus(-1.0f / 6, odd1, times(1.0f / 12, odd2));
    out[2 * out_step] = plus(1.0f / 6, hn::Sub(even2, even1), at(5));
  }
}

// A square of pixels that begins at (y, x) of an image, and may reach over its edges.
struct TilePlace {
  int n, y, x;
};
HWY_INLINE TilePlace tile_place(int64_t tile, int tiles_h, int tiles_w, int m) {
  return {int(tile / (tiles_h * tiles_w)), int(tile / tiles_w % tiles_h) * m, int(tile % tiles_w) * m};
}

// A vector of channels at A x A pixels, 0 outside of the image.
template <int A, class T>
class TilePixels {
 public:
  HWY_INLINE TilePixels(const T* in, const PitchedShape& s, const TilePlace& place, int channel) {
    const auto [n, top, left] = place;
    const bool inside = top >= 0 && left >= 0 && top + A <= s.h && left + A <= s.w;
    const T* origin = in + s.place(n, top, left) + channel;
    if (inside && s.c - channel >= kLanes) {  // by far the most
      first_ = origin, row_ = int64_t(s.w) * s.pitch, column_ = s.pitch;
      return;
    }
    T* copy = reinterpret_cast<T*>(copy_);
    first_ = copy, row_ = A * kLanes, column_ = kLanes;
    const FirstLanes lanes = first_lanes(s.c - channel);
    for (int i = 0; i < A; ++i)
      for (int j = 0; j < A; ++j) {
        T* to = copy + (i * A + j) * kLanes;
        if (inside || (top + i >= 0 && top + i < s.h && left + j >= 0 && left + j < s.w))
          store(load_first_as_stored(origin + s.place(0, i, j), lanes), to);
        else
          std::memset(static_cast<void*>(to), 0, kLanes * sizeof(T));  // one store, as it is loaded
      }
  }

  HWY_INLINE V at(int i, int j) const { return load(first_ + i * row_ + j * column_); }

 private:
  const T* first_;
  int64_t row_, column_;                                    // from a pixel to the next
  alignas(64) std::byte copy_[A * A * kLanes * sizeof(T)];  // values of T begin as 0, which would take time
};

// Asks for the pixels of a tile kTilesAhead, the last m rows and columns of its a x a: what is
// above and to the left was seen before.
constexpr int kTilesAhead = 2;
template <class T>
HWY_NOINLINE void expect_tile(const T* in, const PitchedShape& s, const TilePlace& place, int a, int m) {
  constexpr int kLine = 64 / sizeof(T);
  const auto [n, top, left] = place;
  const int first = left + kTilesAhead * m + a - m;
  if (top < 0 || left < 0 || first + m > s.w) return;
  const int runs = s.contiguous() ? 1 : m, run = m / runs * s.c;  // of values side by side, in a row
  for (int i = a - m; i < a && top + i < s.h; ++i) {
    const T* row = in + s.place(n, top + i, first);
    for (int r = 0; r < runs; ++r, row += s.pitch)
      for (int k = 0; k < run; k += kLine) hwy::Prefetch(row + k);
  }
}

// Whether what is made of a tile on the way stays in registers: then rows and columns have code each, else
// all have the same.
template <int A>
constexpr bool kInRegisters = kRows == 12 && A <= 6;

// f(0), f(1), ... f(N - 1)
template <int N, bool kUnrolled, class F>
HWY_INLINE void repeat_times(F&& f) {
  if constexpr (kUnrolled) {
    OSPREY_UNROLL
    for (int i = 0; i < N; ++i) f(i);
  } else {
    for (int i = 0; i < N; ++i) f(i);
  }
}

// A x A values of N x N pixels: along_axis(from, to, step of to) makes A values of N, of each column and then
// of each row. put(i, value) takes them.
template <int A, int N, class T, class AlongAxis, class Put>
HWY_INLINE void transform_tile(const TilePixels<N, T>& x, AlongAxis&& along_axis, Put&& put) {
  V half[A * N];
  repeat_times<N, kInRegisters<A>>([&](int j) HWY_ATTR {
    V column[N];
    OSPREY_UNROLL
    for (int i = 0; i < N; ++i) column[i] = x.at(i, j);
    along_axis(column, half + j, N);
  });
  repeat_times<A, kInRegisters<A>>([&](int i) HWY_ATTR {
    V row[A];
    along_axis(half + i * N, row, 1);
    OSPREY_UNROLL
    for (int j = 0; j < A; ++j) put(i * A + j, row[j]);
  });
}

// B' x B
template <int M, int S, class T, class Put>
HWY_INLINE void transform_input_tile(const TilePixels<kSide<M, S>, T>& x, Put&& put) {
  transform_tile<kSide<M, S>>(
      x, [](const V* from, V* to, int step) HWY_ATTR { transform_input<M, S>(from, 1, to, step); }, put);
}

}  // namespace osprey::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
