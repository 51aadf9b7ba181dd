// B is packed, kDepth rows of some panels at a time, and each tile of kRows rows of A goes over them while
// they are in the cache. With few rows, as where a [connected] sees one image, packing would cost more than
// the products: then they are the dot products of rows, if both matrices have theirs in memory.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "layers/simd/gemm.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h
//
#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "core/parallel.h"
#include "layers/simd/epilogue-inl.h"
#include "layers/simd/gemm.h"
#include "layers/simd/outer_product-inl.h"

#ifndef OSPREY_LAYERS_SIMD_GEMM_PRODUCT
#define OSPREY_LAYERS_SIMD_GEMM_PRODUCT
namespace osprey::simd {
namespace {

struct Matrix {
  const float* data;
  int64_t row, column;  // steps from one to the next; one of them is 1
};

struct Product {
  int m, n, k;
  Matrix a, b;
  bool add;
  float* c;
  int64_t c_row;
};

constexpr int kDots = 4;     // rows of A, and columns of B, whose dot products are summed together
constexpr int kFewRows = 8;  // of A: with more, packing B costs less than reading it again

}  // namespace
}  // namespace osprey::simd
#endif

HWY_BEFORE_NAMESPACE();
namespace osprey::simd::HWY_NAMESPACE {
namespace {

constexpr int kDepth = 384;        // products that are summed in registers before they are added to memory
constexpr int kPanelsInBlock = 8;  // 384 KiB with AVX-512: most of a core's second cache

// to[i][o] = the element i of row o of `rows`, for kLanes values of 4 rows; `to` has kPanel columns.
HWY_INLINE void turn_four(const float* rows, int64_t row, float* to) {
  const V a = hn::LoadU(kFloats, rows), b = hn::LoadU(kFloats, rows + row);
  const V c = hn::LoadU(kFloats, rows + 2 * row), d = hn::LoadU(kFloats, rows + 3 * row);
  const V ac_low = hn::InterleaveLower(kFloats, a, c), ac_high = hn::InterleaveUpper(kFloats, a, c);
  const V bd_low = hn::InterleaveLower(kFloats, b, d), bd_high = hn::InterleaveUpper(kFloats, b, d);
  alignas(64) float turned[4][kLanes];  // [i % 4][i / 4][row]
  hn::Store(hn::InterleaveLower(kFloats, ac_low, bd_low), kFloats, turned[0]);
  hn::Store(hn::InterleaveUpper(kFloats, ac_low, bd_low), kFloats, turned[1]);
  hn::Store(hn::InterleaveLower(kFloats, ac_high, bd_high), kFloats, turned[2]);
  hn::Store(hn::InterleaveUpper(kFloats, ac_high, bd_high), kFloats, turned[3]);
  OSPREY_UNROLL
  for (int i = 0; i < kLanes; ++i) std::copy_n(turned[i % 4] + i / 4 * 4, 4, to + i * kPanel);
}

// to[i][o] = B[first + i][column + o] for i < depth and o < columns, else 0.
void pack_panel(const Matrix& b, int first, int depth, int column, int columns, float* to) {
  const float* from = b.data + first * b.row + column * b.column;
  if (b.column == 1) {
    for (int i = 0; i < depth; ++i, from += b.row, to += kPanel) {
      std::copy_n(from, columns, to);
      std::fill(to + columns, to + kPanel, 0.0f);
    }
    return;
  }
  if (columns < kPanel) std::fill_n(to, int64_t(depth) * kPanel, 0.0f);
  int o = 0;
  for (; o + 4 <= columns; o += 4) {
    const float* row = from + o * b.column;
    int i = 0;
    for (; i + kLanes <= depth; i += kLanes) turn_four(row + i, b.column, to + i * kPanel + o);
    for (; i < depth; ++i)
      for (int r = 0; r < 4; ++r) to[i * kPanel + o + r] = row[i + r * b.column];
  }
  for (; o < columns; ++o)
    for (int i = 0; i < depth; ++i) to[i * kPanel + o] = from[i + o * b.column];
}

template <int P>
void multiply_tile(const float* const* rows, int depth, const float* panel, bool add, float* c, int64_t c_row,
                   int columns) {
  V sums[P][kVectors];
  clear(sums);
  add_outer_products<P, kVectors>(rows, 1, depth, panel, sums);
  store_tile(sums, add, c, c_row, columns);
}

using Multiply = void (*)(const float* const* rows, int depth, const float* panel, bool add, float* c,
                          int64_t c_row, int columns);
template <int... P>
constexpr std::array<Multiply, sizeof...(P)> tiles(std::integer_sequence<int, P...>) {
  return {multiply_tile<P + 1>...};
}
constexpr auto kTiles = tiles(std::make_integer_sequence<int, kRows>());

// Where the rows of a tile of A begin; turned into `turned` where they are columns in memory.
void rows_of_tile(const Matrix& a, int first_row, int rows, int first, int depth, float* turned,
                  const float* (&x)[kRows]) {
  const float* from = a.data + first_row * a.row + first * a.column;
  if (a.column == 1) {
    for (int p = 0; p < rows; ++p) x[p] = from + p * a.row;
    return;
  }
  for (int p = 0; p < rows; ++p) x[p] = turned + p * kDepth;
  for (int i = 0; i < depth; ++i)
    for (int p = 0; p < rows; ++p) turned[p * kDepth + i] = from[i * a.column + p];
}

// The tiles [first_tile, last_tile) of rows in the panels [first_panel, last_panel) of columns.
void multiply_part(const Product& p, int first_tile, int last_tile, int first_panel, int last_panel) {
  // Kept by the thread, so that nothing is allocated after its first product.
  thread_local std::vector<float> packed(size_t(kPanelsInBlock) * kDepth * kPanel);
  thread_local std::vector<float> turned(size_t(kRows) * kDepth);
  const int all_tiles = (p.m + kRows - 1) / kRows;
  for (int block = first_panel; block < last_panel; block += kPanelsInBlock) {
    const int end = std::min(block + kPanelsInBlock, last_panel);
    for (int first = 0; first < p.k; first += kDepth) {
      const int depth = std::min(kDepth, p.k - first);
      for (int panel = block; panel < end; ++panel)
        pack_panel(p.b, first, depth, panel * kPanel, std::min(kPanel, p.n - panel * kPanel),
                   packed.data() + int64_t(panel - block) * kDepth * kPanel);
      for (int tile = first_tile; tile < last_tile; ++tile) {
        // Of nearly equal size: a last one of a single row would waste the registers.
        const int row = int(int64_t(p.m) * tile / all_tiles),
                  rows = int(int64_t(p.m) * (tile + 1) / all_tiles) - row;
        const float* x[kRows];
        rows_of_tile(p.a, row, rows, first, depth, turned.data(), x);
        for (int panel = block; panel < end; ++panel)
          kTiles[size_t(rows - 1)](x, depth, packed.data() + int64_t(panel - block) * kDepth * kPanel,
                                   p.add || first > 0, p.c + row * p.c_row + panel * kPanel, p.c_row,
                                   std::min(kPanel, p.n - panel * kPanel));
      }
    }
  }
}

// The dot products of R rows of A with C columns of B, both of which lie side by side in memory.
template <int R, int C>
HWY_INLINE void dot_tile(const Product& p, int row, int column) {
  V sums[R][C];
  clear(sums);
  const float *x = p.a.data + row * p.a.row, *y = p.b.data + column * p.b.column;
  const auto add = [&](int i, auto&& load_from) HWY_ATTR {
    V of_x[R];
    OSPREY_UNROLL
    for (int r = 0; r < R; ++r) of_x[r] = load_from(x + r * p.a.row + i);
    OSPREY_UNROLL
    for (int c = 0; c < C; ++c) {
      const V of_y = load_from(y + c * p.b.column + i);
      OSPREY_UNROLL
      for (int r = 0; r < R; ++r) sums[r][c] = hn::MulAdd(of_x[r], of_y, sums[r][c]);
    }
  };
  int i = 0;
  for (; i + kLanes <= p.k; i += kLanes) add(i, [](const float* from) HWY_ATTR { return load(from); });
  const FirstLanes left = first_lanes(p.k - i);
  if (i < p.k) add(i, [=](const float* from) HWY_ATTR { return load_first(from, left); });
  for (int r = 0; r < R; ++r)
    for (int c = 0; c < C; ++c) {
      float& to = p.c[(row + r) * p.c_row + column + c];
      to = (p.add ? to : 0.0f) + hn::GetLane(hn::SumOfLanes(kFloats, sums[r][c]));
    }
}

// The columns [column, column + C) of the result, a few rows at a time.
template <int C>
void dot_columns(const Product& p, int column) {
  int row = 0;
  for (; row + kDots <= p.m; row += kDots) dot_tile<kDots, C>(p, row, column);
  switch (p.m - row) {
    case 3:
      return dot_tile<3, C>(p, row, column);
    case 2:
      return dot_tile<2, C>(p, row, column);
    case 1:
      return dot_tile<1, C>(p, row, column);
  }
}

}  // namespace

// For few rows; the columns [first, last).
void dot_part(const Product& p, int first, int last) {
  int column = first;
  for (; column + kDots <= last; column += kDots) dot_columns<kDots>(p, column);
  for (; column < last; ++column) dot_columns<1>(p, column);
}

// On all threads, which share whichever there is more of.
void multiply(const Product& p) {
  const int tiles = (p.m + kRows - 1) / kRows, panels = (p.n + kPanel - 1) / kPanel;
  if (panels >= std::min(tiles, threads()))
    parallel_for(panels, 1,
                 [&](int64_t first, int64_t last) { multiply_part(p, 0, tiles, int(first), int(last)); });
  else
    parallel_for(tiles, 1,
                 [&](int64_t first, int64_t last) { multiply_part(p, int(first), int(last), 0, panels); });
}

}  // namespace osprey::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace osprey {
namespace simd {

HWY_EXPORT(dot_part);
HWY_EXPORT(multiply);

}  // namespace simd

void gemm(Transpose a_transposed, Transpose b_transposed, int m, int n, int k, const float* a, int lda,
          const float* b, int ldb, bool add, float* c, int ldc) {
  using namespace simd;
  const auto matrix = [](Transpose transposed, const float* data, int64_t row) {
    return transposed == Transpose::yes ? Matrix{data, 1, row} : Matrix{data, row, 1};
  };
  const Product p{m, n, k, matrix(a_transposed, a, lda), matrix(b_transposed, b, ldb), add, c, ldc};
  if (m <= kFewRows && p.a.column == 1 && b_transposed == Transpose::yes) {
    constexpr int kColumnsWorthAThread = 16;
    parallel_for(n, kColumnsWorthAThread, [&](int64_t first, int64_t last) {
      HWY_DYNAMIC_DISPATCH(dot_part)(p, int(first), int(last));
    });
    return;
  }
  HWY_DYNAMIC_DISPATCH(multiply)(p);
}

}  // namespace osprey
#endif
