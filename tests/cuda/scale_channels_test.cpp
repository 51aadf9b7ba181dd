#include "cuda/scale_channels.h"

#include "tests/cuda/kernel_test.h"

namespace osprey::test {
namespace {

// Products of multiples of 1/8, and their sums, are exact: equal bits.
TEST(ScaleChannelsKernel, MultipliesByTheGateAndCollectsItsGradient) {
  Stream s;
  for (Shape shape : {Shape{1, 1, 1, 1}, {2, 3, 5, 7}, {2, 5, 2, 8}, {1, 1, 3, 33}})
    for (bool pixels : {false, true}) {
      SCOPED_TRACE(shape.text() + (pixels ? " by pixel" : " by channel"));
      const Shape gates = pixels ? Shape{shape.n, shape.h, shape.w, 1} : Shape{shape.n, 1, 1, shape.c};
      const Values x = coarse_values(shape.size(), 1), gate = coarse_values(gates.size(), 2),
                   dy = coarse_values(shape.size(), 3), before = coarse_values(shape.size(), 4),
                   gate_before = coarse_values(gates.size(), 5);
      Values want_y(shape.size()), want_dx = before, want_dgate = gate_before;
      for (int i = 0; i < shape.size(); ++i) {
        const int g = pixels ? i / shape.c : i / (shape.h * shape.w * shape.c) * shape.c + i % shape.c;
        want_y[i] = gate[g] * x[i];
        want_dx[i] += gate[g] * dy[i];
        want_dgate[g] += x[i] * dy[i];
      }
      in_all_orders([&] {
        Values y(shape.size(), NAN), dx = before, dgate = gate_before;
        cuda::scale_channels_forward(s, constant(gate, gates), constant(x, shape), view(y, shape), pixels);
        cuda::scale_channels_backward_input(s, constant(gate, gates), constant(dy, shape), view(dx, shape),
                                            pixels);
        cuda::scale_channels_backward_gate(s, constant(x, shape), constant(dy, shape), view(dgate, gates),
                                           pixels);
        EXPECT_EQ(y, want_y);
        EXPECT_EQ(dx, want_dx);
        EXPECT_EQ(dgate, want_dgate);
      });
    }
}

}  // namespace
}  // namespace osprey::test
