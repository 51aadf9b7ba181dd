#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "layers/simd/winograd_gradient.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h
//
#include <algorithm>
#include <array>

#include "core/parallel.h"
#include "layers/simd/outer_product.h"
#include "layers/simd/winograd-inl.h"
#include "layers/simd/winograd.h"
#include "layers/simd/winograd_gradient.h"

HWY_BEFORE_NAMESPACE();
namespace osprey::simd::HWY_NAMESPACE {
namespace {

constexpr int kMostPoints = 36;

// The place of a tile of m x m values of dy.
TilePlace place_of(const WinogradGradient& c, int64_t tile) {
  return tile_place(tile, c.tiles_h_, c.tiles_w_, c.m_);
}

struct OfX {
  static const Shape& shape(const WinogradGradient& c) { return c.x_; }
  static float* target(const WinogradGradient::Block& block) { return block.x; }

  static TilePlace place(const WinogradGradient& c, int64_t tile) {
    TilePlace place = place_of(c, tile);
    place.y -= c.before_h_;
    place.x -= c.before_w_;
    return place;
  }
  template <int M, class T>
  static HWY_INLINE void expect(const WinogradGradient& c, const T* x, int64_t tile) {
    expect_tile(x, c.x_, place(c, tile), M + 2, M);
  }
  template <int M, class T, class Put>
  static HWY_INLINE void transform(const WinogradGradient& c, const T* from, int64_t tile, int channel,
                                   Put&& put) {
    transform_input_tile<M, 1>(TilePixels<M + 2, T>(from, c.x_, place(c, tile), channel), put);
  }
};

struct OfDy {
  static const Shape& shape(const WinogradGradient& c) { return c.y_; }
  static float* target(const WinogradGradient::Block& block) { return block.dy; }

  template <int M, class T>
  static HWY_INLINE void expect(const WinogradGradient& c, const T* dy, int64_t tile) {
    expect_tile(dy, c.y_, place_of(c, tile), M, M);
  }
  template <int M, class T, class Put>
  static HWY_INLINE void transform(const WinogradGradient& c, const T* dy, int64_t tile, int channel,
                                   Put&& put) {
    transform_tile<M + 2>(
        TilePixels<M, T>(dy, c.y_, place_of(c, tile), channel),
        [](const V* from, V* to, int step) HWY_ATTR { transform_sum_gradient<M>(from, 1, to, step); }, put);
  }
};

// The steps [first, last) of a block.
template <int M, class Of, class T>
void transform_steps(const WinogradGradient& c, const T* from, const WinogradGradient::Block& block,
                     int64_t first, int64_t last) {
  constexpr int kPoints = (M + 2) * (M + 2);
  const Shape& shape = Of::shape(c);
  const int64_t group_size = block.steps * kLanes;
  const int64_t point = c.groups(shape) * group_size;  // in values, or pairs of them
  V points[2][kPoints];
  for (int64_t step = first; step < last; ++step) {
    Of::template expect<M>(c, from, block.first_tile + (c.rounds_ ? 2 * step : step));
    if (c.rounds_) Of::template expect<M>(c, from, block.first_tile + 2 * step + 1);
    for (int group = 0; group < c.groups(shape); ++group) {
      const int64_t at = group * group_size + step * kLanes;
      if (!c.rounds_) {
        float* to = Of::target(block) + at;
        Of::template transform<M>(c, from, block.first_tile + step, group * kLanes,
                                  [=](int i, V v) HWY_ATTR { hn::StoreU(v, kFloats, to + i * point); });
        continue;
      }
      for (int k = 0; k < 2; ++k)
        if (2 * step + k < block.tiles)
          Of::template transform<M>(c, from, block.first_tile + 2 * step + k, group * kLanes,
                                    [&](int i, V v) HWY_ATTR { points[k][i] = v; });
        else
          std::fill_n(points[k], kPoints, hn::Zero(kFloats));
      round_vector_pairs(points[0], points[1], kPoints, reinterpret_cast<bf16*>(Of::target(block)) + 2 * at,
                         2 * point);
    }
  }
}

template <class Of>
void transform_any(const WinogradGradient& c, const Tensor& from, const WinogradGradient::Block& block,
                   int64_t first, int64_t last) {
  const auto transform = [&]<class T>(const T* values) {
    c.m_ == 2 ? transform_steps<2, Of>(c, values, block, first, last)
              : transform_steps<4, Of>(c, values, block, first, last);
  };
  if constexpr (kBf16Products)
    if (from.type == Type::bf16) return transform(static_cast<const bf16*>(from.data));
  transform(static_cast<const float*>(from.data));
}

void transform_x(const WinogradGradient& c, const Tensor& x, const WinogradGradient::Block& block,
                 int64_t first, int64_t last) {
  transform_any<OfX>(c, x, block, first, last);
}

void transform_dy(const WinogradGradient& c, const Tensor& dy, const WinogradGradient::Block& block,
                  int64_t first, int64_t last) {
  transform_any<OfDy>(c, dy, block, first, last);
}

// Sums of products at all points, of some filters and some groups of channels.
struct Products {
  alignas(64) float values[kMostPoints][kRows][kPanel];
};

// Where a filter's values at a point begin: those of a group lie side by side.
template <int P, class T>
HWY_INLINE void rows_of_filters(const T* of_point, int filter, int64_t steps, const T* (&rows)[P]) {
  constexpr int kTogether = sizeof(float) / sizeof(T);
  OSPREY_UNROLL
  for (int p = 0; p < P; ++p)
    rows[p] = of_point + ((filter + p) / kLanes * steps * kLanes + (filter + p) % kLanes) * kTogether;
}

template <int P, int NV>
HWY_INLINE void store_products(const V (&sums)[P][NV], float (*products)[kPanel]) {
  OSPREY_UNROLL
  for (int p = 0; p < P; ++p) {
    OSPREY_UNROLL
    for (int v = 0; v < NV; ++v) hn::Store(sums[p][v], kFloats, products[p] + v * kLanes);
  }
}

// At one point: of P filters, an even number, from `filter` on, and the NV groups of channels from x on.
template <int P, int NV>
void multiply_tile(const float* dy, int filter, const float* x, int64_t steps, float (*products)[kPanel]) {
  const float *rows[P], *vectors[NV];
  rows_of_filters<P>(dy, filter, steps, rows);
  for (int v = 0; v < NV; ++v) vectors[v] = x + v * steps * kLanes;
  V sums[P][NV];
  clear(sums);
  add_strided_products<P, NV>(rows, kLanes, vectors, kLanes, steps, sums);
  store_products<P, NV>(sums, products);
}
template <int P, int NV>
OSPREY_BF16_PRODUCTS void multiply_tile(const bf16* dy, int filter, const bf16* x, int64_t steps,
                                        float (*products)[kPanel]) {
  const bf16 *rows[P], *vectors[NV];
  rows_of_filters<P>(dy, filter, steps, rows);
  for (int v = 0; v < NV; ++v) vectors[v] = x + v * steps * 2 * kLanes;
  V sums[P][NV];
  clear(sums);
  add_strided_products<P, NV>(rows, 2 * kLanes, vectors, 2 * kLanes, steps, sums);
  store_products<P, NV>(sums, products);
}

template <class T>
using Multiply = void (*)(const T* dy, int filter, const T* x, int64_t steps, float (*products)[kPanel]);
template <class T, int NV, int... P>
constexpr std::array<Multiply<T>, sizeof...(P)> tiles(std::integer_sequence<int, P...>) {
  return {multiply_tile<2 * (P + 1), NV>...};
}
template <class T>
constexpr std::array<Multiply<T>, kRows / 2> kTiles[kVectors] = {
    tiles<T, 1>(std::make_integer_sequence<int, kRows / 2>()),
    tiles<T, 2>(std::make_integer_sequence<int, kRows / 2>())};

template <class T>
void multiply_points(const WinogradGradient& c, const WinogradGradient::Block& block, int filter, int filters,
                     int group, int vectors, Products& products) {
  const int64_t group_size = block.steps * kLanes * int64_t(sizeof(float) / sizeof(T));
  const T *dy = reinterpret_cast<const T*>(block.dy), *x = reinterpret_cast<const T*>(block.x);
  for (int point = 0; point < c.points(); ++point)
    kTiles<T>[vectors - 1][size_t(filters - 1) / 2](dy + point * c.groups(c.y_) * group_size, filter,
                                                    x + (point * c.groups(c.x_) + group) * group_size,
                                                    block.steps, products.values[point]);
}

// dweights of one filter and a vector of channels += what its products are turned back to.
template <int M>
HWY_INLINE void add_weights(const float* products, int channels, int count, float* dweights) {
  constexpr int A = M + 2;
  V u[A * A], half[3 * A], g[9][1];
  OSPREY_UNROLL
  for (int i = 0; i < A * A; ++i) u[i] = hn::Load(kFloats, products + i * (kRows * kPanel));
  OSPREY_UNROLL
  for (int j = 0; j < A; ++j) transform_weight_gradient<M>(u + j, A, half + j, A);
  OSPREY_UNROLL
  for (int i = 0; i < 3; ++i) transform_weight_gradient<M>(half + i * A, 1, &g[i * 3][0], 1);
  store_tile(g, true, dweights, channels, count);
}

int filter_tiles(const WinogradGradient& c) { return (c.y_.c + kRows - 1) / kRows; }
int channel_panels(const WinogradGradient& c) { return (c.x_.c + kPanel - 1) / kPanel; }
int64_t parts(const WinogradGradient& c) { return int64_t(filter_tiles(c)) * channel_panels(c); }

// A part of the weights: the tiles [first, last) of them, counted panel by panel, so that the values of x
// stay in the cache while all of dy goes by.
void add_parts(const WinogradGradient& c, const WinogradGradient::Block& block, float* dweights,
               int64_t first, int64_t last) {
  const int in_panel = filter_tiles(c);
  Products products;
  for (int64_t part = first; part < last; ++part) {
    const int panel = int(part / in_panel), tile = int(part % in_panel);
    // Of nearly equal size: a last tile of a few filters would waste the registers. Where filters are odd,
    // the products of one more come of what fills its vector.
    const int64_t pairs = (c.y_.c + 1) / 2;
    const int filter = int(2 * (pairs * tile / in_panel)),
              filters = std::min(int(2 * (pairs * (tile + 1) / in_panel)), c.y_.c) - filter;
    const int channel = panel * kPanel, channels = std::min(kPanel, c.x_.c - channel);
    const int vectors = (channels + kLanes - 1) / kLanes;
    (c.rounds_ ? multiply_points<bf16> : multiply_points<float>)(c, block, filter, filters, panel * kVectors,
                                                                 vectors, products);
    for (int f = 0; f < filters; ++f)
      for (int v = 0; v < channels; v += kLanes) {
        const float* of_points = products.values[0][f] + v;
        float* to = dweights + int64_t(filter + f) * 9 * c.x_.c + channel + v;
        c.m_ == 2 ? add_weights<2>(of_points, c.x_.c, channels - v, to)
                  : add_weights<4>(of_points, c.x_.c, channels - v, to);
      }
  }
}

}  // namespace
}  // namespace osprey::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace osprey::simd {

HWY_EXPORT(transform_x);
HWY_EXPORT(transform_dy);
HWY_EXPORT(parts);
HWY_EXPORT(add_parts);

WinogradGradient::WinogradGradient(Shape x, Shape y, const Convolution& c, int m, bool rounds)
    : x_(x),
      y_(y),
      m_(m),
      before_h_(c.window.h.before),
      before_w_(c.window.w.before),
      rounds_(rounds),
      lanes_(vector_width()),
      tiles_h_((y.h + m - 1) / m),
      tiles_w_((y.w + m - 1) / m) {}

// A panel of x stays in a core's second cache, all of the block in its part of the third. The number of
// threads plays no part: each weight is summed block by block.
int64_t WinogradGradient::tiles_in_block() const {
  constexpr int64_t kSecond = 384 << 10, kThird = 8 << 20;
  const int64_t value = points() * int64_t(rounds_ ? sizeof(bf16) : sizeof(float));
  const int64_t of_panel = value * panel_width(), of_all = value * lanes_ * (groups(x_) + groups(y_));
  return std::max<int64_t>(std::min(kSecond / of_panel, kThird / of_all), 16);
}

WinogradGradient::Block WinogradGradient::block_of(int64_t first, int64_t last) const {
  const int64_t steps = rounds_ ? (last - first + 1) / 2 : last - first;
  const int64_t size = points() * steps * lanes_;  // of a group: a pair of bf16 is as large as a float
  float* space = Winograd::memory(size * (groups(x_) + groups(y_)));
  return {first, last - first, steps, space, space + size * groups(x_)};
}

void WinogradGradient::add(Tensor x, Tensor dy, float* dweights) const {
  const int64_t blocks = (tiles() + tiles_in_block() - 1) / tiles_in_block();
  for (int64_t b = 0; b < blocks; ++b) {
    const Block block = block_of(tiles() * b / blocks, tiles() * (b + 1) / blocks);
    parallel_for(block.steps, 1, [&](int64_t first, int64_t last) {
      HWY_DYNAMIC_DISPATCH(transform_x)(*this, x, block, first, last);
      HWY_DYNAMIC_DISPATCH(transform_dy)(*this, dy, block, first, last);
    });
    parallel_for(HWY_DYNAMIC_DISPATCH(parts)(*this), 1, [&](int64_t first, int64_t last) {
      HWY_DYNAMIC_DISPATCH(add_parts)(*this, block, dweights, first, last);
    });
  }
}

}  // namespace osprey::simd
#endif
