#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "layers/simd/winograd.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h
//
#include <algorithm>
#include <array>
#include <type_traits>

#include "core/arena.h"
#include "core/parallel.h"
#include "layers/simd/outer_product.h"
#include "layers/simd/winograd-inl.h"
#include "layers/simd/winograd.h"

HWY_BEFORE_NAMESPACE();
namespace osprey::simd::HWY_NAMESPACE {
namespace {

template <int M, int S, class T>
void transform_tiles(const Winograd& c, const T* in, const Winograd::Block& block, int64_t first,
                     int64_t last) {
  constexpr int A = kSide<M, S>;
  const int64_t row = c.input_row(), plane = c.input_plane(block), to_next_piece = A * A * plane - row;
  for (int64_t t = first; t < last; ++t) {
    TilePlace place = tile_place(block.first_tile + t, c.tiles_h_, c.tiles_w_, M * S);
    place.y -= c.before_h_;
    place.x -= c.before_w_;
    expect_tile(in, c.in_, place, A, M * S);
    for (int channel = 0; channel < c.in_.c; channel += kLanes) {
      const int piece = c.late_ ? channel / Winograd::kLateChannels : 0;
      const int64_t at = piece * to_next_piece + t * row + channel;
      const TilePixels<A, T> x(in, c.in_, place, channel);
      if constexpr (M == 2)  // others lose too much
        if (c.rounds_) {
          V points[A * A];
          transform_input_tile<M, S>(x, [&](int i, V v) HWY_ATTR { points[i] = v; });
          round_vectors(points, A * A, reinterpret_cast<bf16*>(block.inputs) + at, plane);
          continue;
        }
      float* to = block.inputs + at;
      transform_input_tile<M, S>(x, [=](int i, V v) HWY_ATTR { hn::StoreU(v, kFloats, to + i * plane); });
    }
  }
}

template <int P, class T>
HWY_INLINE void rows_of_tile(const T* first, int64_t row, const T* (&x)[kRows]) {
  OSPREY_UNROLL
  for (int p = 0; p < P; ++p) x[p] = first + p * row;
}

template <int P>
HWY_INLINE void load_products(const float* products, V (&sums)[P][kVectors]) {
  OSPREY_UNROLL
  for (int p = 0; p < P; ++p) {
    OSPREY_UNROLL
    for (int v = 0; v < kVectors; ++v) sums[p][v] = hn::LoadU(kFloats, products + p * kPanel + v * kLanes);
  }
}
template <int P>
HWY_INLINE void store_products(const V (&sums)[P][kVectors], float* products, int64_t row) {
  OSPREY_UNROLL
  for (int p = 0; p < P; ++p) {
    OSPREY_UNROLL
    for (int v = 0; v < kVectors; ++v) hn::StoreU(sums[p][v], kFloats, products + p * row + v * kLanes);
  }
}

// Where it `adds`, the products of other channels are there. With a constant between tiles, places need no
// registers.
template <int P>
void multiply_tile(const float* rows, int64_t row, int channels, const float* weights, float* products,
                   int64_t, bool adds) {
  const float* x[kRows];
  rows_of_tile<P>(rows, row, x);
  V sums[P][kVectors];
  if (adds)
    load_products<P>(products, sums);
  else
    clear(sums);
  add_outer_products<P, kVectors>(x, 1, channels, weights, sums);
  store_products<P>(sums, products, kPanel);
}
template <int P>
OSPREY_BF16_PRODUCTS void multiply_tile(const bf16* rows, int64_t row, int channels, const bf16* weights,
                                        float* products, int64_t products_row, bool) {
  const bf16* x[kRows];
  rows_of_tile<P>(rows, row, x);
  V sums[P][kVectors];
  clear(sums);
  add_outer_products<P, kVectors>(x, 1, (channels + 1) / 2, weights, sums);
  store_products<P>(sums, products, products_row);
}

template <class T>
using Multiply = void (*)(const T* rows, int64_t row, int channels, const T* weights, float* products,
                          int64_t products_row, bool adds);
template <class T, int... P>
constexpr std::array<Multiply<T>, sizeof...(P)> tiles(std::integer_sequence<int, P...>) {
  return {multiply_tile<P + 1>...};
}
template <class T>
constexpr auto kTiles = tiles<T>(std::make_integer_sequence<int, kRows>());

// Of some channels at one point, all tiles of the block with one panel.
template <class T>
void multiply_point(const Winograd& c, const Winograd::Block& block, const T* inputs, int channels,
                    const T* weights, float* products, bool adds) {
  const int64_t row = c.input_row(), products_row = c.product_row(block);
  const int64_t groups = (block.tiles + kRows - 1) / kRows;
  for (int64_t g = 0; g < groups; ++g) {
    const int64_t begin = block.tiles * g / groups, end = block.tiles * (g + 1) / groups;
    kTiles<T>[size_t(end - begin - 1)](inputs + begin * row, row, channels, weights,
                                       products + begin * products_row, products_row, adds);
  }
}

// Point by point, so that the inputs of one stay in the cache while all its weights go by, once.
template <class T>
void multiply(const Winograd& c, const T* packed, const T* inputs, const Winograd::Block& block,
              int first_panel, int last_panel) {
  for (int point = 0; point < c.points(); ++point)
    for (int b = first_panel; b < last_panel; ++b)
      multiply_point(c, block, inputs + point * c.input_plane(block), c.in_.c,
                     packed + (int64_t(point) * c.panels() + b) * c.chunk(),
                     c.products_at(block, point, b - first_panel), false);
}

constexpr int64_t kLatePoint = Winograd::point_step(Winograd::kLateChannels * kPanel);

// to[point][channel][filter] of one panel, from weights {channels, 3, 3, kPanel}.
template <int M, int S>
void transform_late_weights(const float* weights, int channels, float* to) {
  constexpr int A = M + 2;
  for (int i = 0; i < channels; ++i, weights += 9 * kPanel, to += kPanel)
    for (int v = 0; v < kPanel; v += kLanes) {
      V g[9], half[A * 3];
      OSPREY_UNROLL
      for (int t = 0; t < 9; ++t) {
        g[t] = hn::LoadU(kFloats, weights + t * kPanel + v);
        hwy::Prefetch(weights + (9 + t) * kPanel + v);
      }
      OSPREY_UNROLL
      for (int j = 0; j < 3; ++j) transform_weights<M, S>(g + j, 3, half + j, 3);
      repeat_times<A, kRows == 12>([&](int row) HWY_ATTR {
        V points[A];
        transform_weights<M, S>(half + row * 3, 1, points, 1);
        OSPREY_UNROLL
        for (int j = 0; j < A; ++j) hn::StoreU(points[j], kFloats, to + v + (row * A + j) * kLatePoint);
      });
    }
}

// The same with the weights of the layer: those of some channels and a panel are transformed into a piece of
// the second cache, and used at once. The next ones are asked for meanwhile: all of them come from memory.
void multiply_late(const Winograd& c, const float* packed, const Winograd::Block& block, int first_panel,
                   int last_panel) {
  const int planes = c.planes();
  float* transformed = c.memory_of_late_weights();
  for (int piece = 0; piece < c.pieces(); ++piece) {
    const int channel = piece * Winograd::kLateChannels;
    const int channels = c.late_channels(channel);
    const float* inputs = block.inputs + piece * planes * c.input_plane(block);
    const int64_t for_a_plane = (channels * 9 * kPanel / planes / Winograd::kLine + 1) * Winograd::kLine;
    for (int b = first_panel; b < last_panel; ++b) {
      const float* weights = packed + c.late_place(channel, b);
      c.stride_ == 2 ? transform_late_weights<4, 2>(weights, channels, transformed)
      : c.m_ == 4    ? transform_late_weights<4, 1>(weights, channels, transformed)
                     : transform_late_weights<5, 1>(weights, channels, transformed);
      const float* next =
          packed + (b + 1 < last_panel             ? c.late_place(channel, b + 1)
                    : channel + channels < c.in_.c ? c.late_place(channel + channels, first_panel)
                                                   : c.late_place(0, last_panel));
      for (int plane = 0; plane < planes; ++plane, next += for_a_plane) {
        for (int i = 0; i < for_a_plane; i += Winograd::kLine) hwy::Prefetch(next + i);
        multiply_point(c, block, inputs + plane * c.input_plane(block), channels,
                       transformed + c.point_of(plane) * kLatePoint,
                       c.products_at(block, plane, b - first_panel), piece > 0);
      }
    }
  }
}

// Asks for what a tile kTilesAhead will write, and add: pieces of rows that are far from each other, which no
// processor foresees, and which it could not write without reading them.
template <class T>
HWY_NOINLINE void expect_output(const PitchedShape& s, const TilePlace& place, int m, int filter,
                                const Finish& e, T* out) {
  const int rows = std::min(m, s.h - place.y), columns = std::min(m, s.w - place.x);
  const T* residual = static_cast<const T*>(e.residual);
  for (int i = 0; i < rows; ++i)
    for (int j = 0; j < columns; ++j) {
      const int64_t at = s.place(place.n, place.y + i, place.x + j) + filter;
      hwy::Prefetch(out + at);
      if (residual) hwy::Prefetch(residual + at);
    }
}

// The largest of each 2x2 of a tile's outputs, which are finished first, beside each other. Pooled outputs
// lie `row` and `column` apart.
template <int M, class T>
HWY_NOINLINE void store_largest(const V* y, int rows, int columns, int filters, const Finish& e, T* out,
                                int64_t row, int64_t column) {
  alignas(64) T made[M * M * kLanes];
  int64_t places[M * M];
  for (int p = 0; p < M * M; ++p) places[p] = p * kLanes;
  finish_apart<M>(y, M * M, places, filters, e, made);
  const FirstLanes lanes = first_lanes(filters);
  for (int i = 0; i < rows; i += 2)
    for (int j = 0; j < columns; j += 2) {
      const auto at = [&](int k, int l)
                          HWY_ATTR { return load_first(made + ((i + k) * M + j + l) * kLanes, lanes); };
      const V most = hn::Max(at(1, 1), hn::Max(at(1, 0), hn::Max(at(0, 1), at(0, 0))));  // as largest.cpp
      store_first(as_stored(most, out), out + i / 2 * row + j / 2 * column, lanes);
    }
}

template <int M, int S, class T>
void transform_outputs(const Winograd& c, const Winograd::Block& block, const Finish& e, T* out,
                       int first_panel, int last_panel) {
  constexpr int A = kSide<M, S>;
  const int64_t products_row = c.product_row(block), plane = c.product_plane(block);
  const int last_filter = std::min(last_panel * kPanel, c.out_.c);
  for (int64_t t = 0; t < block.tiles; ++t) {
    const TilePlace place = tile_place(block.first_tile + t, c.tiles_h_, c.tiles_w_, M);
    const int rows = std::min(M, c.out_.h - place.y), columns = std::min(M, c.out_.w - place.x);
    const int64_t origin = c.out_.place(place.n, place.y, place.x);
    const TilePlace later = tile_place(block.first_tile + t + kTilesAhead, c.tiles_h_, c.tiles_w_, M);
    for (int filter = first_panel * kPanel; filter < last_filter; filter += kLanes) {
      const float* from =
          c.products_at(block, 0, filter / kPanel - first_panel) + t * products_row + filter % kPanel;
      if (later.n < c.out_.n && !c.pools_) expect_output(c.out_, later, M, filter, e, out);
      V half[M * A];
      repeat_times<A, kInRegisters<A>>([&](int j) HWY_ATTR {
        V column[A];
        OSPREY_UNROLL
        for (int i = 0; i < A; ++i) column[i] = hn::LoadU(kFloats, from + (i * A + j) * plane);
        transform_output<M, S>(column, 1, half + j, A);
      });
      const int filters = std::min(kLanes, c.out_.c - filter);
      const Finish own = from_filter(e, filter);
      const auto row_to = [&](const V* half_row, int i, V* y, int64_t* places) HWY_ATTR {
        transform_output<M, S>(half_row, 1, y, 1);
        for (int j = 0; j < M; ++j) places[j] = origin + c.out_.place(0, i, j);
      };
      if constexpr (S == 1 && (M == 2 || M == 4))
        if (c.pools_) {
          V y[M * M];
          repeat_times<M, kInRegisters<A>>(
              [&](int i) HWY_ATTR { transform_output<M, S>(half + i * A, 1, y + i * M, 1); });
          const int64_t column = c.out_.pitch, row = column * (c.out_.w / 2);
          const int64_t first =
              (int64_t(place.n) * (c.out_.h / 2) + place.y / 2) * row + place.x / 2 * column;
          store_largest<M>(y, rows, columns, filters, own, out + first + filter, row, column);
          continue;
        }
      V kept[M * A];
      const V* rows_from = half;
      if constexpr (kInRegisters<A>) {
        if (rows == M && columns == M) {
          V y[M * M];
          int64_t places[M * M];
          repeat_times<M, true>([&](int i) HWY_ATTR { row_to(half + i * A, i, y + i * M, places + i * M); });
          finish_apart<M * M>(y, M * M, places, filters, own, out + filter);
          continue;
        }
        OSPREY_UNROLL
        for (int i = 0; i < M * A; ++i) kept[i] = half[i];
        rows_from = kept;
      }
      for (int i = 0; i < rows; ++i) {
        V y[M];
        int64_t places[M];
        row_to(rows_from + i * A, i, y, places);
        if (columns == M)
          finish_apart<M>(y, M, places, filters, own, out + filter);
        else
          finish_apart<1>(y, columns, places, filters, own, out + filter);
      }
    }
  }
}

// With bf16 outside, m is 2 or 4.
template <class T>
void transform_tiles_of(const Winograd& c, const T* in, const Winograd::Block& block, int64_t first,
                        int64_t last) {
  if (c.m_ == 2) return transform_tiles<2, 1>(c, in, block, first, last);
  if (c.m_ == 4 && c.stride_ == 1) return transform_tiles<4, 1>(c, in, block, first, last);
  if constexpr (std::is_same_v<T, float>)
    c.stride_ == 2 ? transform_tiles<4, 2>(c, in, block, first, last)
    : c.m_ == 5    ? transform_tiles<5, 1>(c, in, block, first, last)
                   : transform_tiles<6, 1>(c, in, block, first, last);
}

// Of the tiles [first, last) of the block.
void transform_inputs(const Winograd& c, const void* in, const Winograd::Block& block, int64_t first,
                      int64_t last) {
  if constexpr (kBf16Products)
    if (c.in_type_ == Type::bf16)
      return transform_tiles_of(c, static_cast<const bf16*>(in), block, first, last);
  transform_tiles_of(c, static_cast<const float*>(in), block, first, last);
}

template <class T>
void transform_outputs_of(const Winograd& c, const Winograd::Block& block, const Finish& e, T* out, int first,
                          int last) {
  if (c.m_ == 2) return transform_outputs<2, 1>(c, block, e, out, first, last);
  if (c.m_ == 4 && c.stride_ == 1) return transform_outputs<4, 1>(c, block, e, out, first, last);
  if constexpr (std::is_same_v<T, float>)
    c.stride_ == 2 ? transform_outputs<4, 2>(c, block, e, out, first, last)
    : c.m_ == 5    ? transform_outputs<5, 1>(c, block, e, out, first, last)
                   : transform_outputs<6, 1>(c, block, e, out, first, last);
}

// Of the panels [first, last), no more than a block holds at a time: the products, and what comes out of
// them.
void run_together(const Winograd& c, const float* packed, const Winograd::Block& block, const Finish& e,
                  void* out, int first, int last) {
  if (c.late_)
    multiply_late(c, packed, block, first, last);
  else if (c.rounds_)
    multiply(c, reinterpret_cast<const bf16*>(packed), reinterpret_cast<const bf16*>(block.inputs), block,
             first, last);
  else
    multiply<float>(c, packed, block.inputs, block, first, last);
  if constexpr (kBf16Products)
    if (e.type == Type::bf16) return transform_outputs_of(c, block, e, static_cast<bf16*>(out), first, last);
  transform_outputs_of(c, block, e, static_cast<float*>(out), first, last);
}

void run_panels(const Winograd& c, const float* packed, const Winograd::Block& inputs, const Finish& e,
                void* out, int first, int last) {
  Winograd::Block block = inputs;
  block.products = c.memory_of_products(block);
  for (int p = first; p < last; p += block.panels)
    run_together(c, packed, block, e, out, p, std::min(last, p + block.panels));
}

// The weights of kLanes neighbours, filters or channels, whichever lie side by side in memory.
template <int M>
void pack_neighbours(const Winograd& c, const float* weights, int filter, int channel, int count, V* points) {
  constexpr int A = M + 2;
  V g[9], half[A * 3];
  const int channels = c.reversed_ ? c.out_.c : c.in_.c;  // of the weights as they are
  const float* from = weights + (c.reversed_ ? int64_t(channel) * 9 * channels + filter
                                             : int64_t(filter) * 9 * channels + channel);
  const FirstLanes lanes = first_lanes(count);
  for (int t = 0; t < 9; ++t) g[t] = load_first(from + int64_t(c.reversed_ ? 8 - t : t) * channels, lanes);
  OSPREY_UNROLL
  for (int j = 0; j < 3; ++j) transform_weights<M, 1>(g + j, 3, half + j, 3);
  OSPREY_UNROLL
  for (int i = 0; i < A; ++i) transform_weights<M, 1>(half + i * 3, 1, points + i * A, 1);
}

// rows[i][k] = rows[k][i]. A vector is 4, 8 or 16 values: rows are interleaved by fours, and what comes out
// by twos or fours.
HWY_NOINLINE void turn(float (&rows)[kLanes][kLanes]) {
  static_assert(kLanes == 4 || kLanes == 8 || kLanes == 16);
  constexpr int kParts = kLanes / 4;
  const auto at = [&](int i) HWY_ATTR { return hn::Load(kFloats, rows[i]); };
  alignas(64) float parts[kParts][4][kLanes];
  for (int b = 0; b < kParts; ++b)
    hn::StoreInterleaved4(at(b), at(kParts + b), at(2 * kParts + b), at(3 * kParts + b), kFloats,
                          parts[b][0]);
  for (int i = 0; i < 4; ++i) {
    const auto part = [&](int b) HWY_ATTR { return hn::Load(kFloats, parts[b][i]); };
    if constexpr (kParts == 1)
      hn::Store(part(0), kFloats, rows[i]);
    else if constexpr (kParts == 2)
      hn::StoreInterleaved2(part(0), part(1), kFloats, rows[2 * i]);
    else
      hn::StoreInterleaved4(part(0), part(1), part(2), part(3), kFloats, rows[4 * i]);
  }
}

// Of a channel, or in bf16 two, and a vector of filters: the values at all points.
template <int kPoints>
HWY_INLINE void store_points(const V* points, const V*, float* to, int64_t point) {
  for (int p = 0; p < kPoints; ++p) hn::StoreU(points[p], kFloats, to + p * point);
}
template <int kPoints>
HWY_INLINE void store_points(const V* points, const V* others, bf16* to, int64_t point) {
  round_vector_pairs(points, others, kPoints, to, point);
}

// Of some channels and a vector of filters: the values at one point.
HWY_INLINE void store_channels(const float (&values)[kLanes][kLanes], int channels, float* to,
                               int step = kPanel) {
  for (int i = 0; i < channels; ++i) hn::StoreU(hn::Load(kFloats, values[i]), kFloats, to + i * step);
}
HWY_INLINE void store_channels(const float (&values)[kLanes][kLanes], int channels, bf16* to) {
  round_pairs(values[0], kLanes, kLanes, channels, to, 2 * kPanel);
}

// Of one panel, with whose first filter `weights` begin: packed[point][panel][channel][filter of the panel],
// or for bf16 packed[point][panel][pair of channels][filter][channel].
template <int M, class T>
void pack_one(const Winograd& c, const float* weights, T* packed, int panel) {
  constexpr int kPoints = (M + 2) * (M + 2), kTogether = sizeof(T) == sizeof(float) ? 1 : 2;
  const int64_t point = c.panels() * c.chunk();
  T* to = packed + panel * c.chunk();
  const int first = panel * kPanel, filters = std::min(kPanel, c.out_.c - first), channels = c.in_.c;
  if (filters < kPanel)
    for (int p = 0; p < kPoints; ++p) std::fill_n(to + p * point, c.chunk(), T(0.0f));
  V points[2][kPoints];
  const auto place = [=](int channel, int filter) { return to + channel * kPanel + filter * kTogether; };
  if (c.reversed_) {  // filters lie side by side
    for (int channel = 0; channel < channels; channel += kTogether)
      for (int o = 0; o < filters; o += kLanes) {
        for (int i = 0; i < kTogether; ++i)
          if (channel + i < channels)
            pack_neighbours<M>(c, weights, o, channel + i, filters - o, points[i]);
          else
            std::fill_n(points[i], kPoints, hn::Zero(kFloats));
        store_points<kPoints>(points[0], points[1], place(channel, o), point);
      }
    return;
  }
  alignas(64) float values[kPoints][kLanes][kLanes];  // of some filters and channels, to be turned
  for (int channel = 0; channel < channels; channel += kLanes)
    for (int o = 0; o < filters; o += kLanes) {
      for (int k = 0; k < kLanes; ++k) {
        if (o + k < filters)
          pack_neighbours<M>(c, weights, o + k, channel, channels - channel, points[0]);
        else
          std::fill_n(points[0], kPoints, hn::Zero(kFloats));
        for (int p = 0; p < kPoints; ++p) hn::Store(points[0][p], kFloats, values[p][k]);
      }
      for (int p = 0; p < kPoints; ++p) {
        turn(values[p]);
        store_channels(values[p], std::min(kLanes, channels - channel), place(channel, o) + p * point);
      }
    }
}

// Of one panel, the weights as they are, to packed[piece][panel][channel][tap][filter].
void pack_late(const Winograd& c, const float* weights, float* packed, int panel) {
  const int filters = std::min(kPanel, c.out_.c - panel * kPanel), channels = c.in_.c;
  alignas(64) float values[kLanes][kLanes];  // of some filters and channels, to be turned
  for (int channel = 0; channel < channels; channel += kLanes) {
    const int piece = channel / Winograd::kLateChannels * Winograd::kLateChannels;
    float* to = packed + c.late_place(piece, panel) + int64_t(channel - piece) * 9 * kPanel;
    const FirstLanes lanes = first_lanes(channels - channel);
    for (int o = 0; o < kPanel; o += kLanes)
      for (int t = 0; t < 9; ++t) {
        for (int k = 0; k < kLanes; ++k) {
          const float* from = weights + (int64_t(o + k) * 9 + t) * channels + channel;
          hn::Store(o + k < filters ? load_first(from, lanes) : hn::Zero(kFloats), kFloats, values[k]);
        }
        turn(values);
        store_channels(values, std::min(kLanes, channels - channel), to + t * kPanel + o, 9 * kPanel);
      }
  }
}

void pack_panel(const Winograd& c, const float* weights, float* packed, int panel) {
  if (c.late_) return pack_late(c, weights, packed, panel);
  if (c.rounds_) return pack_one<2>(c, weights, reinterpret_cast<bf16*>(packed), panel);
  c.m_ == 2   ? pack_one<2>(c, weights, packed, panel)
  : c.m_ == 4 ? pack_one<4>(c, weights, packed, panel)
              : pack_one<6>(c, weights, packed, panel);
}

}  // namespace
}  // namespace osprey::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace osprey::simd {

HWY_EXPORT(transform_inputs);
HWY_EXPORT(run_panels);
HWY_EXPORT(pack_panel);

Winograd::Winograd(PitchedShape in, PitchedShape out, int m, int before_h, int before_w, bool reversed,
                   bool rounds, Type in_type)
    : in_(in),
      out_(out),
      m_(m),
      before_h_(before_h),
      before_w_(before_w),
      reversed_(reversed),
      rounds_(rounds),
      in_type_(in_type),
      panel_(panel_width()),
      lanes_(vector_width()),
      tiles_h_((out.h + m - 1) / m),
      tiles_w_((out.w + m - 1) / m) {}

bool Winograd::fits(const Convolution& c, int stride) {
  const auto plain = [=](const Window& w) { return w.size == 3 && w.stride == stride && w.dilation == 1; };
  return plain(c.window.h) && plain(c.window.w) && c.groups == 1;
}

Winograd Winograd::forward(PitchedShape x, PitchedShape y, const Convolution& c, int m, bool rounds,
                           Type x_type) {
  return {x, y, m, c.window.h.before, c.window.w.before, false, rounds, x_type};
}

Winograd Winograd::forward_late(PitchedShape x, PitchedShape y, const Convolution& c, int m, Type x_type) {
  Winograd late = forward(x, y, c, m, false, x_type);
  late.late_ = true;
  late.stride_ = c.window.h.stride;
  return late;
}

Winograd Winograd::backward_data(Shape x, Shape y, const Convolution& c, int m, bool rounds, Type y_type) {
  return {y, x, m, 2 - c.window.h.before, 2 - c.window.w.before, true, rounds, y_type};
}

int64_t Winograd::packed_size() const {
  if (late_) return int64_t(in_.c) * 9 * panels() * panel_;
  return points() * panels() * chunk() / (rounds_ ? 2 : 1);
}

void Winograd::pack(const FilterWeights& weights, float* packed) const {
  parallel_for(panels(), 1, [&](int64_t first, int64_t last) {
    std::vector<float> memory;
    for (int p = int(first); p < last; ++p) {
      const int filter = p * panel_;
      const int64_t place = reversed_ ? filter : int64_t(filter) * 9 * in_.c;
      const float* of_panel = weights.get(filter, std::min(filter + panel_, out_.c), place, memory);
      HWY_DYNAMIC_DISPATCH(pack_panel)(*this, of_panel, packed, p);
    }
  });
}

constexpr int64_t kFewest = 12;  // tiles that are worth reading all weights for

// A block stays near a core's second cache, if all weights do: there they are read for each block again.
// Otherwise it stays in the core's part of the third.
int64_t Winograd::tiles_in_block() const {
  constexpr int64_t kSecond = 5 << 18, kThird = 6 << 20;
  const bool near = !late_ && packed_size() * int64_t(sizeof(float)) <= kSecond;
  const int64_t tile = (inputs_of(1) + products_of(1, panels())) * int64_t(sizeof(float));
  return std::max((near ? kSecond : kThird) / tile, kFewest);
}

float* Winograd::memory(int64_t floats) {
  thread_local Arena kept("a thread's memory for Winograd's tiles");
  kept.reserve(size_t(floats) * sizeof(float));
  return reinterpret_cast<float*>(kept.data());
}

float* Winograd::memory_of_products(const Block& b) const {
  if (b.inputs == memory(0)) return b.inputs + inputs_of(b.tiles);  // block_of() has room for them
  return memory(products_of(b.tiles, b.panels));
}

float* Winograd::memory_of_late_weights() const {
  thread_local Arena kept("a thread's memory for Winograd's weights");
  kept.reserve(size_t(points() * point_step(kLateChannels * panel_)) * sizeof(float));
  return reinterpret_cast<float*>(kept.data());
}

Winograd::Block Winograd::block_of(int64_t first, int64_t last) const {
  // Bytes of products, beside late weights and inputs in the second cache.
  constexpr int64_t kTogether = 320 << 10;
  const int64_t of_a_panel = products_of(last - first, 1) * int64_t(sizeof(float));
  const int together = late_ ? int(std::clamp<int64_t>(kTogether / of_a_panel, 1, panels())) : panels();
  return {first, last - first, together,
          memory(inputs_of(last - first) + products_of(last - first, together)), nullptr};
}

void Winograd::run(const void* in, const float* packed, const Epilogue& epilogue, void* out) const {
  const Finish e(epilogue);
  const int64_t most = tiles_in_block();
  // Few tiles and many filters: threads share first the tiles, then the filters, so that none reads all
  // weights. Of more tiles each transforms its own, which take longer to read from another core than weights.
  constexpr int64_t kFiltersPerTile = 3;
  if (tiles() <= most && out_.c > kFiltersPerTile * tiles()) {
    const Block block = block_of(0, tiles());
    parallel_for(tiles(), 1, [&](int64_t first, int64_t last) {
      HWY_DYNAMIC_DISPATCH(transform_inputs)(*this, in, block, first, last);
    });
    parallel_for(panels(), 1, [&](int64_t first, int64_t last) {
      HWY_DYNAMIC_DISPATCH(run_panels)(*this, packed, block, e, out, int(first), int(last));
    });
    return;
  }
  parallel_for(tiles(), kFewest, [&](int64_t first, int64_t last) {
    const int64_t blocks = (last - first + most - 1) / most;
    for (int64_t b = 0; b < blocks; ++b) {
      const Block block =
          block_of(first + (last - first) * b / blocks, first + (last - first) * (b + 1) / blocks);
      HWY_DYNAMIC_DISPATCH(transform_inputs)(*this, in, block, 0, block.tiles);
      HWY_DYNAMIC_DISPATCH(run_panels)(*this, packed, block, e, out, 0, panels());
    }
  });
}

}  // namespace osprey::simd
#endif
