#include "cuda/implicit.h"

#include "tests/cuda/kernel_test.h"

namespace osprey::test {
namespace {

TEST(ImplicitKernel, GivesEveryImageTheWeights) {
  Stream s;
  for (int size : {1, 33, 300}) {
    const Values weights = coarse_values(size, 1);
    in_all_orders([&] {
      Values y(3 * size, NAN);
      cuda::implicit_forward(s, constant(weights, {1, 1, 1, size}), view(y, {3, 1, 1, size}));
      for (int i = 0; i < 3 * size; ++i) ASSERT_EQ(y[i], weights[i % size]);
    });
  }
}

}  // namespace
}  // namespace osprey::test
