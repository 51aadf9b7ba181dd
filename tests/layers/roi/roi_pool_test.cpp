#include "cuda/roi_pool.h"

#include "tests/layers/roi/rois.h"

namespace osprey::test {
namespace {

struct Case {
  Shape x;
  std::vector<int> counts;
  int places, bins_h, bins_w;
  float scale;
};
const Case kCases[] = {
    {{1, 1, 1, 1}, {2}, 2, 1, 1, .25f},
    {{2, 7, 9, 3}, {5, 3}, 5, 3, 4, 1 / 3.0f},  // fewer RoIs than places
    {{2, 7, 9, 8}, {0, 20}, 20, 2, 7, .25f},    // packs of channels; more bins than cells
    {{1, 5, 6, 33}, {9}, 9, 3, 2, 1},           // a row longer than a block
    {{1, 9, 4, 5}, {150}, 150, 2, 3, .25f},     // more RoIs than threads of a block
};

// The first largest cell of a bin, by trying all of the map; -1 without any.
int winner_by_definition(const Case& test, const Values& x, int image, Box box, int p, int q, int c) {
  for (float corner : {box.x1, box.y1, box.x2, box.y2})
    if (std::isnan(corner)) return -1;
  const auto inside = [&](int at, float from, float to, int bin, int bins) {
    const int first = int(std::lround(from * test.scale)), last = int(std::lround(to * test.scale));
    const int size = std::max(last - first + 1, 1);
    // Bin i covers the cells from floor(i size / bins) to ceil((i + 1) size / bins): those that overlap the
    // real interval between the quotients.
    return (at - first + 1) * bins > bin * size && (at - first) * bins < (bin + 1) * size;
  };
  int best = -1;
  for (int h = 0; h < test.x.h; ++h)
    for (int w = 0; w < test.x.w; ++w) {
      if (!inside(h, box.y1, box.y2, p, test.bins_h) || !inside(w, box.x1, box.x2, q, test.bins_w)) continue;
      if (best < 0 ||
          x[test.x.index(image, h, w, c)] > x[test.x.index(image, best / test.x.w, best % test.x.w, c)])
        best = h * test.x.w + w;
    }
  return best;
}

struct Wanted {
  Values y, dx;
  std::vector<int> winner;
};
constexpr float kUntouched = 77;

Wanted by_definition(const Case& test, const OwnRois& own, int level, const Values& x, const Values& dy,
                     const Values& before) {
  const Shape out = {test.x.n * test.places, test.bins_h, test.bins_w, test.x.c};
  Wanted want{Values(out.size(), kUntouched), before, std::vector<int>(out.size(), int(kUntouched))};
  for (int i = 0; i < out.size(); ++i) {
    const auto [row, p, q, c] = out.pixel(i);
    const int image = row / test.places, r = row % test.places;
    const bool empty = r >= test.counts[image];
    if (empty ? level != 0 : !own.rois.on_level(image, r, level)) continue;
    const int cell = empty ? -1 : winner_by_definition(test, x, image, own.boxes[row], p, q, c);
    want.winner[i] = cell;
    want.y[i] = 0;
    if (cell < 0) continue;
    const int at = test.x.index(image, cell / test.x.w, cell % test.x.w, c);
    want.y[i] = x[at];
    want.dx[at] += dy[i];
  }
  return want;
}

// Comparisons, and sums of eighths, which floats hold: equal bits.
template <class Forward, class Backward>
void expect_pooled(const Case& test, const OwnRois& own, int level, Forward forward, Backward backward) {
  Stream s;
  const Shape out = {test.x.n * test.places, test.bins_h, test.bins_w, test.x.c};
  const RoiMap map = {level, test.scale};
  const Values x = coarse_values(test.x.size(), 1), before = coarse_values(test.x.size(), 4),
               dy = coarse_values(out.size(), 2);
  const Wanted want = by_definition(test, own, level, x, dy, before);
  Values y(out.size(), kUntouched), y_inference = y, dx = before;
  std::vector<int> winner(out.size(), int(kUntouched));
  forward(s, constant(x, test.x), own.rois, map, view(y, out), view(winner, out));
  forward(s, constant(x, test.x), own.rois, map, view(y_inference, out), {});
  backward(s, constant(dy, out), view(winner, out), own.rois, map, view(dx, test.x));
  EXPECT_EQ(y, want.y);
  EXPECT_EQ(y_inference, want.y);
  EXPECT_EQ(winner, want.winner);
  EXPECT_EQ(dx, want.dx);
}

TEST(RoiPool, LargestCellOfEachBin) {
  for (const Case& test : kCases)
    for (const bool two_levels : {false, true}) {
      SCOPED_TRACE(test.x.text() + (two_levels ? ", two levels" : ""));
      const OwnRois own(test.counts, test.places, float(test.x.w) / test.scale, float(test.x.h) / test.scale,
                        two_levels, 3);
      for (int level = 0; level <= int(two_levels); ++level) {
        expect_pooled(test, own, level, cpu::roi_pool_forward, cpu::roi_pool_backward);
        in_all_orders(
            [&] { expect_pooled(test, own, level, cuda::roi_pool_forward, cuda::roi_pool_backward); });
      }
    }
}

TEST(RoiPool, CornersGoToTheNearestCellAndHalvesAwayFromZero) {
  const PoolAxis axis = pool_axis(-1.5f, 2.5f, 1);
  EXPECT_EQ(axis.start, -2);
  EXPECT_EQ(axis.size, 6);  // cells -2..3
  EXPECT_EQ(pool_axis(5, 3, 1).size, 1);
  EXPECT_EQ(pool_axis(0, INFINITY, 1).size, 0);
  EXPECT_EQ(pool_axis(0, 1e30f, 1).bin(0, 7, 50).last, 49);
}

}  // namespace
}  // namespace osprey::test
