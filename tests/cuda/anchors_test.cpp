#include "cuda/anchors.h"

#include "tests/cuda/kernel_test.h"

namespace osprey::test {
namespace {

// Multiples of 1/8: sums are exact. One anchor, and more than the threads of a block; a grid that is no
// square.
TEST(AnchorsKernel, LaysOutTheShapesRowByRow) {
  Stream s;
  const AnchorGrid grids[] = {{1, 1, 8, 8, 0}, {7, 13, 8, 16, 0.5f}};
  for (const AnchorGrid& grid : grids)
    for (const int count : {1, 3}) {
      const Values shapes = coarse_values(4 * count, 1);
      const Shape shape = {1, grid.rows, grid.columns, 4 * count};
      Values want;
      for (int y = 0; y < grid.rows; ++y)
        for (int x = 0; x < grid.columns; ++x)
          for (int i = 0; i < 4 * count; ++i)
            want.push_back(shapes[size_t(i)] +
                           (i % 2 ? (y + grid.offset) * grid.stride_y : (x + grid.offset) * grid.stride_x));
      in_all_orders([&] {
        Values anchors(want.size(), NAN);
        cuda::place_anchors(s, constant(shapes, {1, 1, count, 4}), grid, view(anchors, shape));
        EXPECT_EQ(anchors, want);
      });
    }
}

}  // namespace
}  // namespace osprey::test
