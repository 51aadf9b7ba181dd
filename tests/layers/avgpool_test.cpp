#include "tests/layers/harness.h"

namespace osprey {
namespace {

TEST(avgpool, takes_the_mean_of_each_channel) {
  SingleLayer layer("[avgpool]", {{2, 1, 2, 2}});
  EXPECT_EQ(layer.output(), (Shape{2, 1, 1, 2}));
  expect_equal(layer.forward({1, 10, 3, 20, 5, 30, 7, 50}), {2, 15, 6, 40});
  expect_equal(layer.backward({2, 4, 6, 8}, {Values(8, 1)})[0], {2, 3, 2, 3, 4, 5, 4, 5});
}

// A float sum would lose every 1 beside 2^24.
TEST(avgpool, keeps_small_values_beside_large_ones) {
  SingleLayer layer("[avg]", {{1, 64, 64, 1}});
  Values x(4096, 1);
  x[0] = 16777216;
  expect_equal(layer.forward(x), {float((16777216.0 + 4095) / 4096)});
}

// Sums of up to 99 values in another order.
TEST(avgpool, kernels_agree) {
  for (Shape shape : {Shape{2, 9, 11, 5}, {3, 7, 7, 24}}) expect_parity("[avgpool]", {shape}, {1e-6f, 1e-6f});
  for (Shape shape : kAwkwardShapes) {
    expect_parity("[avgpool]", {shape}, {1e-6f, 1e-7f});
    expect_parity_in_bf16("[avgpool]", {shape});
  }
}

TEST(avgpool, makes_floats_of_bf16_before_a_loss) {
  const Shape shape{2, 3, 3, 8};
  std::vector<Section> sections = parse_cfg("[avgpool]", "test.cfg");
  BuildOptions options;
  options.precision = Type::bf16;
  Plan before_loss(sections[0], {{shape, Type::bf16}}, options, true, Type::f32);
  const auto layer = find_layer_type("avgpool")->make();
  layer->plan(before_loss);
  EXPECT_EQ(before_loss.output_type(), Type::f32);
  EXPECT_TRUE(layer->converts());
}

TEST(avgpool, gradient_is_the_slope) { expect_gradient_on_both("[avgpool]", {2, 3, 5, 6}); }

TEST(avgpool, explains_what_is_wrong) {
  expect_error("[avgpool]\nsize=2", "test.cfg:2: [avgpool] unknown key `size`");
}

}  // namespace
}  // namespace osprey
