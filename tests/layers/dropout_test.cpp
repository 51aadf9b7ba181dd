#include <cmath>

#include "core/parallel.h"
#include "tests/layers/harness.h"

namespace osprey {
namespace {

constexpr Shape kShape{1, 50, 40, 5};

TEST(dropout, does_nothing_in_inference) {
  SingleLayer layer("[dropout]", {kShape}, Device::cpu, false);
  const Values x = random_values(kShape);
  expect_equal(layer.forward(x), x);
}

TEST(dropout, drops_or_scales_each_value) {
  SingleLayer layer("[dropout]\nprobability=0.25", {kShape});
  const Values y = layer.forward(Values(kShape.size(), 3));
  int dropped = 0;
  for (float v : y) {
    EXPECT_TRUE(v == 0 || v == 4) << v;
    dropped += v == 0;
  }
  // 10000 draws: the standard deviation of their number is 43.
  EXPECT_NEAR(dropped, 2500, 5 * 43);
}

TEST(dropout, draws_by_seed_pass_and_layer_alone) {
  const Values ones(kShape.size(), 1);
  SingleLayer layer("[dropout]", {kShape});
  const Values first = layer.forward(ones);
  layer.step.pass = 1;
  EXPECT_NE(layer.forward(ones), first);
  layer.step.pass = 0;
  layer.step.iteration = 7;
  const int before = threads();
  set_threads(before == 1 ? 3 : 1);
  EXPECT_EQ(layer.forward(ones), first);
  set_threads(before);
  SingleLayer lower("\n\n[dropout]", {kShape});
  EXPECT_NE(lower.forward(ones), first);
}

TEST(dropout, backward_has_the_same_mask) {
  SingleLayer layer("[dropout]\nprobability=0.5", {{2, 3, 3, 7}});
  layer.step.pass = 3;
  const Values ones(2 * 9 * 7, 1), y = layer.forward(ones);
  Values want = y;
  for (float& v : want) v += 10;
  expect_equal(layer.backward(ones, {Values(ones.size(), 10)})[0], want);
}

// The same numbers are drawn; one product and one addition each, which a compiler may fuse.
TEST(dropout, kernels_agree) {
  for (Shape shape : kAwkwardShapes) {
    expect_parity("[dropout]\nprobability=0.4", {shape}, {1e-6f, 1e-6f});
    expect_parity_in_bf16("[dropout]\nprobability=0.4", {shape});
  }
}

TEST(dropout, gradient_is_the_slope) { expect_gradient_on_both("[dropout]\nprobability=0.3", {2, 3, 3, 5}); }

TEST(dropout, explains_what_is_wrong) {
  expect_error("[dropout]\nprobability=1.5",
               "test.cfg:2: [dropout] probability must be between 0 and 1, not 1.5");
  expect_error("[dropout]\nprobability=1", "test.cfg:2: [dropout] probability must be less than 1");
}

}  // namespace
}  // namespace osprey
