#include "cuda/dropout.h"

#include "tests/cuda/kernel_test.h"

namespace osprey::test {
namespace {

// Every fourth value begins a block of random bits, whatever the length of packs.
TEST(DropoutKernel, DrawsByPosition) {
  Stream s;
  Step step;
  step.seed = 5;
  step.pass = 3;
  const Dropout dropout{0.25f, 17};
  for (Shape shape : {Shape{1, 1, 1, 1}, {2, 3, 5, 7}, {1, 3, 4, 8}}) {
    SCOPED_TRACE(shape.text());
    const int size = shape.size();
    const Values x = coarse_values(size, 1), before = coarse_values(size, 2);
    Values want(size), want_dx = before;
    for (int i = 0; i < size; ++i) {
      Random random(5, Purpose::dropout, 3, uint64_t(17) << 32 | uint64_t(i / 4));
      bool drop = false;
      for (int draw = 0; draw <= i % 4; ++draw) drop = random.chance(0.25f);
      want[i] = drop ? 0.0f : x[i] / 0.75f;
      want_dx[i] += want[i];
    }
    in_all_orders([&] {
      Values y = x, dx = before;
      cuda::dropout_forward(s, view(y, shape), view(y, shape), &step, dropout);
      cuda::dropout_backward(s, constant(x, shape), view(dx, shape), &step, dropout);
      for (int i = 0; i < size; ++i) {
        ASSERT_FLOAT_EQ(y[i], want[i]);
        ASSERT_NEAR(dx[i], want_dx[i], 3e-7);  // a last place of 2, where a product is fused
      }
      std::vector<bf16> halves(x.begin(), x.end());
      cuda::dropout_forward(s, view(halves, shape), view(halves, shape), &step, dropout);
      for (int i = 0; i < size; ++i) ASSERT_NEAR(float(halves[i]), want[i], 0x1p-8 * std::fabs(want[i]));
    });
  }
}

}  // namespace
}  // namespace osprey::test
