#include "cuda/activation.h"

#include "tests/cuda/kernel_test.h"

namespace osprey::test {
namespace {

constexpr Shape kShapes[] = {{1, 1, 1, 1}, {2, 3, 5, 7}, {1, 2, 4, 33}};

// Both sides call one formula, so they agree to the bit.
TEST(ActivationKernel, AppliesEveryFunctionToEveryValue) {
  Stream s;
  for (size_t k = 0; k < std::size(kActivationNames); ++k)
    for (Shape shape : kShapes) {
      SCOPED_TRACE(kActivationNames[k]);
      const auto a = Activation(k);
      const Values x = coarse_values(shape.size(), 1), dy = coarse_values(shape.size(), 2),
                   before = coarse_values(shape.size(), 3);
      Values want_y = x, want_dx = before, want_in_place = dy;
      for (int i = 0; i < shape.size(); ++i) {
        want_y[i] = activate(a, x[i]);
        want_in_place[i] = dy[i] * slope(a, x[i]);
        want_dx[i] += want_in_place[i];
      }
      in_all_orders([&] {
        Values y = x, dx = before, in_place = dy;
        cuda::activation_forward(s, view(y, shape), view(y, shape), a);
        cuda::activation_backward(s, constant(x, shape), constant(dy, shape), view(dx, shape), a);
        cuda::activation_backward(s, constant(x, shape), view(in_place, shape), view(in_place, shape), a);
        for (int i = 0; i < shape.size(); ++i) {
          ASSERT_FLOAT_EQ(y[i], want_y[i]);
          ASSERT_FLOAT_EQ(dx[i], want_dx[i]);
          ASSERT_FLOAT_EQ(in_place[i], want_in_place[i]);
        }
      });
    }
}

}  // namespace
}  // namespace osprey::test
