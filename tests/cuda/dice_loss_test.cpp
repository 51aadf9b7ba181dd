#include "cuda/dice_loss.h"

#include "tests/cuda/kernel_test.h"

namespace osprey::test {
namespace {

// Masks smaller and larger than a block. With p = 1/2 everywhere and t = 1 for half of 2 n values:
// 1 - (n + eps) / (2 n + eps); the rest is the formula and its slope, worked out of the formula in double.
TEST(DiceLossKernel, EveryMaskLosesWhatItsProbabilitiesDoNotCover) {
  Stream s;
  constexpr float kEps = 0.5f;
  for (const int count : {1, 6, 300}) {
    const Shape shape = {3, 1, 2, count}, each = {3, 1, 1, 1};
    const int all = 2 * count;
    Values logits = coarse_values(shape.size(), 1), targets(logits.size());
    for (int i = 0; i < shape.size(); ++i) {
      targets[size_t(i)] = i % all < count;
      if (i < all) logits[size_t(i)] = 0;
    }
    const Values dy = {2, 0, -1}, before = coarse_values(shape.size(), 3);
    in_all_orders([&] {
      Values losses(3, NAN), dx = before;
      cuda::dice_loss(s, constant(logits, shape), constant(targets, shape), kEps, view(losses, each));
      Values unread = logits;
      std::fill_n(unread.begin() + all, all, NAN);
      cuda::dice_loss_backward(s, constant(unread, shape), constant(targets, shape), kEps, constant(dy, each),
                               view(dx, shape));
      EXPECT_NEAR(losses[0], 1 - (count + kEps) / (2 * count + kEps), 1e-6);
      for (int mask = 0; mask < 3; ++mask) {
        double product = 0, total = 0;
        const auto probability = [&](int i) { return 1 / (1 + std::exp(-double(logits[size_t(i)]))); };
        for (int i = mask * all; i < (mask + 1) * all; ++i) {
          product += probability(i) * targets[size_t(i)];
          total += probability(i) + targets[size_t(i)];
        }
        const double whole = total + kEps;
        ASSERT_NEAR(losses[size_t(mask)], 1 - (2 * product + kEps) / whole, 1e-6);
        for (int i = mask * all; i < (mask + 1) * all; ++i) {
          const double p = probability(i), t = targets[size_t(i)];
          const double slope = -(2 * t * whole - (2 * product + kEps)) / (whole * whole) * p * (1 - p);
          ASSERT_NEAR(dx[size_t(i)], before[size_t(i)] + dy[size_t(mask)] * slope, 1e-6) << i;
        }
      }
    });
  }
}

}  // namespace
}  // namespace osprey::test
