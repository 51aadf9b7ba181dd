#include "cuda/sam.h"

#include "tests/cuda/kernel_test.h"

namespace osprey::test {
namespace {

// Products of multiples of 1/8: equal bits.
TEST(SamKernel, MultipliesAndAddsToTheGradient) {
  Stream s;
  for (Shape shape : {Shape{1, 1, 1, 1}, {2, 3, 5, 7}, {1, 2, 2, 8}}) {
    const Values a = coarse_values(shape.size(), 1), b = coarse_values(shape.size(), 2);
    Values product = a, sum = a;
    for (int i = 0; i < shape.size(); ++i) {
      product[i] *= b[i];
      sum[i] += a[i] * b[i];
    }
    in_all_orders([&] {
      Values y(shape.size(), NAN), dx = a;
      cuda::sam_forward(s, constant(a, shape), constant(b, shape), view(y, shape));
      cuda::sam_backward(s, constant(a, shape), constant(b, shape), view(dx, shape));
      EXPECT_EQ(y, product);
      EXPECT_EQ(dx, sum);
    });
  }
}

}  // namespace
}  // namespace osprey::test
