#include "cuda/route.h"

#include "tests/cuda/kernel_test.h"

namespace osprey::test {
namespace {

struct Case {
  Shape x, y;
  int from, to, channels;
};
const Case kCases[] = {
    {{1, 1, 1, 1}, {1, 1, 1, 1}, 0, 0, 1},
    {{2, 3, 1, 8}, {2, 3, 1, 16}, 4, 8, 4},  // in packs
    {{2, 1, 3, 7}, {2, 1, 3, 5}, 3, 1, 4},
};

TEST(RouteKernel, CopiesAndAddsChannels) {
  Stream s;
  for (const Case& test : kCases) {
    SCOPED_TRACE(test.x.text() + " to " + test.y.text());
    const Values x = coarse_values(test.x.size(), 1), before = coarse_values(test.y.size(), 2);
    Values copied = before, added = before, alone(test.y.size());
    for (int row = 0; row < test.x.rows(); ++row)
      for (int c = 0; c < test.channels; ++c) {
        const int from = row * test.x.c + test.from + c, to = row * test.y.c + test.to + c;
        copied[to] = alone[to] = x[from];
        added[to] += x[from];
      }
    in_all_orders([&] {
      Values y = before, sum = before, overwritten(test.y.size(), NAN);
      cuda::route_forward(s, constant(x, test.x), test.from, view(y, test.y), test.to, test.channels);
      cuda::route_backward(s, constant(x, test.x), test.from, view(sum, test.y), test.to, test.channels);
      cuda::route_backward_overwrite(s, constant(x, test.x), test.from, view(overwritten, test.y), test.to,
                                     test.channels);
      EXPECT_EQ(y, copied);
      EXPECT_EQ(sum, added);
      EXPECT_EQ(overwritten, alone);
    });
  }
}

}  // namespace
}  // namespace osprey::test
