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

// A row of 5 under windows of 3, two apart, with one zero on each side: counted, or not.
TEST(avgpool, takes_means_over_windows) {
  const Shape row{1, 1, 5, 1};
  const auto means = [&](const std::string& keys) {
    SingleLayer layer("[avgpool]\n" + keys, {row});
    return layer.forward({6, 12, 18, 30, 60});
  };
  // The rows above and below are zeros that count, too: a third of the mean along the row.
  expect_equal(means("size=3\nstride=2\npadding=1"), {2, 60 / 9.0f, 10}, {1e-6f});
  expect_equal(means("size=3\nstride=2\npadding=1\ncount_padding=0"), {9, 20, 45}, {1e-6f});
  SingleLayer half("[avgpool]\nsize=2\nceil=1\ncount_padding=0", {{1, 2, 3, 1}});
  EXPECT_EQ(half.output(), (Shape{1, 1, 2, 1}));
  expect_equal(half.forward({1, 2, 10, 3, 6, 20}), {3, 15});
  expect_equal(half.backward({4, 6}, {Values(6, 1)})[0], {2, 2, 4, 2, 2, 4});
  SingleLayer even("[avgpool]\nsize=2", {{1, 2, 3, 1}});
  EXPECT_EQ(even.output(), (Shape{1, 1, 1, 1}));
}

// Sums of up to 25 values, and of up to 9 shares, in another order.
TEST(avgpool, window_kernels_agree) {
  for (const std::string keys :
       {"size=2", "size=3\nstride=2\npadding=1", "size=3\nstride=2\npadding=1\nceil=1\ncount_padding=0",
        "size=5\nstride=1\npadding=2\ncount_padding=0", "size=1\nstride=3\nceil=1"})
    for (Shape shape : {Shape{2, 9, 11, 5}, {1, 6, 7, 24}, {1, 5, 5, 33}}) {
      expect_parity("[avgpool]\n" + keys, {shape}, {1e-5f, 1e-6f});
      expect_parity_in_bf16("[avgpool]\n" + keys, {shape}, {0x1p-8f, 1e-4f});
    }
}

TEST(avgpool, gradient_is_the_slope) {
  expect_gradient_on_both("[avgpool]", {2, 3, 5, 6});
  expect_gradient_on_both("[avgpool]\nsize=3\nstride=2\npadding=1\nceil=1\ncount_padding=0", {2, 4, 6, 3});
}

TEST(avgpool, explains_what_is_wrong) {
  expect_error("[avgpool]\nstride=2", "test.cfg:2: [avgpool] stride needs size: without it the mean is over");
  expect_error("[avgpool]\nsize=2\npadding=2", "test.cfg:3: [avgpool] padding leaves windows with no pixel");
  expect_error("[avgpool]\nsize=9", "test.cfg:2: [avgpool] a window of 9 does not fit an input of 1x8x8x4");
  expect_error("[avgpool]\nsizes=2", "test.cfg:2: [avgpool] unknown key `sizes`, did you mean `size`?");
}

}  // namespace
}  // namespace osprey
