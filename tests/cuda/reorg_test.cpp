#include "cuda/reorg.h"

#include "tests/cuda/kernel_test.h"

namespace osprey::test {
namespace {

// A space-to-depth of blocks of 2 x 2: output channel (dy 2 + dx) m + k of m input channels.
TEST(ReorgKernel, MovesBlocksOfPixelsAndTheirGradientsBack) {
  Stream s;
  const Shape in{2, 4, 2, 3}, out{2, 2, 1, 12};
  const Values x = coarse_values(in.size(), 1), dy = coarse_values(out.size(), 2),
               before = coarse_values(in.size(), 3);
  Values want(out.size()), want_dx = before;
  for (int i = 0; i < out.size(); ++i) {
    const auto [n, h, w, c] = out.pixel(i);
    const int from = in.index(n, 2 * h + c / in.c / 2, 2 * w + c / in.c % 2, c % in.c);
    want[i] = x[from];
    want_dx[from] += dy[i];
  }
  const Reorg reorg{out, 2, false};
  in_all_orders([&] {
    Values y(out.size(), NAN), dx = before;
    cuda::reorg_forward(s, constant(x, in), view(y, out), reorg);
    cuda::reorg_backward(s, constant(dy, out), view(dx, in), reorg);
    EXPECT_EQ(y, want);
    EXPECT_EQ(dx, want_dx);
  });
}

}  // namespace
}  // namespace osprey::test
