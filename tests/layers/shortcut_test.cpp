#include <cmath>

#include "tests/layers/harness.h"

namespace osprey {
namespace {

constexpr Shape kShape{2, 2, 3, 4};

TEST(shortcut, adds_layers) {
  SingleLayer layer("[shortcut]\nfrom=-3,-5", {{1, 1, 1, 2}, {1, 1, 1, 2}, {1, 1, 1, 2}});
  EXPECT_EQ(layer.layer().sources(), (std::vector<std::string>{"-1", "-3", "-5"}));
  expect_equal(layer.forward({{1, 2}, {10, 20}, {100, 200}}), {111, 222});
  for (const Values& dx : layer.backward({3, 4}, {{1, 1}, {1, 1}, {1, 1}})) expect_equal(dx, {4, 5});
}

TEST(shortcut, adds_the_channels_that_both_have) {
  SingleLayer wide("[shortcut]\nfrom=-3", {{1, 1, 2, 2}, {1, 1, 2, 4}});
  expect_equal(wide.forward({{1, 2, 3, 4}, {10, 20, 30, 40, 50, 60, 70, 80}}), {11, 22, 53, 64});
  expect_equal(wide.backward_overwriting({1, 2, 3, 4})[1], {1, 2, 0, 0, 3, 4, 0, 0});
  SingleLayer narrow("[shortcut]\nfrom=-3", {{1, 1, 2, 3}, {1, 1, 2, 1}});
  expect_equal(narrow.forward({{1, 2, 3, 4, 5, 6}, {10, 20}}), {11, 2, 3, 24, 5, 6});
}

// pjreddie's resnet18: the layer of twice the size is read at every second pixel.
TEST(shortcut, samples_a_layer_of_another_size) {
  SingleLayer larger("[shortcut]\nfrom=-3", {{1, 1, 2, 1}, {1, 2, 4, 1}});
  expect_equal(larger.forward({{100, 200}, {1, 2, 3, 4, 5, 6, 7, 8}}), {101, 203});
  expect_equal(larger.backward({5, 6})[1], {5, 0, 6, 0, 0, 0, 0, 0});
  SingleLayer smaller("[shortcut]\nfrom=-3", {{1, 2, 4, 1}, {1, 1, 2, 1}});
  expect_equal(smaller.forward({{1, 2, 3, 4, 5, 6, 7, 8}, {100, 200}}), {101, 2, 203, 4, 5, 6, 7, 8});
}

// pjreddie: alpha scales the layer before only where the other one is added.
TEST(shortcut, scales_by_alpha_and_beta_where_layers_meet) {
  SingleLayer layer("[shortcut]\nfrom=-3\nalpha=2\nbeta=3", {{1, 1, 2, 2}, {1, 1, 2, 1}});
  expect_equal(layer.forward({{1, 2, 3, 4}, {10, 20}}), {32, 2, 66, 4});
  const auto dx = layer.backward({1, 1, 1, 1});
  expect_equal(dx[0], {2, 1, 2, 1});
  expect_equal(dx[1], {3, 3});
}

// AlexeyAB's formulas: v = max(w, 0.001); relu v_i / (0.0001 + sum v), softmax the same with e^(w - max).
TEST(shortcut, weighs_layers) {
  const std::vector<Shape> shapes(2, Shape{1, 1, 1, 2});
  auto weighed = [&](const std::string& keys, const Values& weights) {
    SingleLayer layer("[shortcut]\nfrom=-3\n" + keys, shapes);
    layer.parameter("weights") = weights;
    return layer.forward({{1, 2}, {10, 20}});
  };
  expect_equal(weighed("weights_type=per_feature", {2, 3}), {32, 64});
  expect_equal(weighed("weights_type=per_layer", {2, 3}), {32, 64});
  expect_equal(weighed("weights_type=per_channel", {1, 2, 3, 4}), {31, 84});
  const float sum = 1e-4f + 1.0f + 1e-3f;
  expect_equal(weighed("weights_type=per_feature\nweights_normalization=relu", {1, -5}),
               {(1 + 0.01f) / sum, (2 + 0.02f) / sum}, {1e-6f});
  const float e = std::exp(-2.0f), total = 1e-4f + 1 + e;
  expect_equal(weighed("weights_type=per_feature\nweights_normalization=softmax", {1, 3}),
               {(e + 10) / total, (2 * e + 20) / total}, {1e-6f});
}

TEST(shortcut, initial_weights_are_one) {
  SingleLayer layer("[shortcut]\nfrom=-3\nweights_type=per_channel", {kShape, kShape});
  expect_equal(layer.parameter("weights"), Values(8, 1));
}

// Sums of three or four products, and of 12 pixels for the weights, in another order. In bf16 the sum is
// rounded with each layer that is added, and before the activation.
TEST(shortcut, kernels_agree) {
  const std::vector<Shape> mixed = {{2, 2, 3, 8}, {2, 2, 3, 8}, {2, 2, 3, 3}, {2, 2, 3, 16}};
  for (const char* keys : {"", "activation=leaky", "activation=mish", "weights_type=per_feature",
                           "weights_type=per_channel", "weights_type=per_feature\nweights_normalization=relu",
                           "weights_type=per_channel\nweights_normalization=relu\nactivation=swish",
                           "weights_type=per_channel\nweights_normalization=softmax",
                           "weights_type=per_feature\nweights_normalization=softmax"}) {
    const std::string cfg = std::string("[shortcut]\nfrom=-2,-3,-4\n") + keys;
    expect_parity(cfg, mixed, {2e-6f, 2e-6f});
    expect_parity_in_bf16(cfg, mixed, {0x1p-6f, 0x1p-5f});
  }
}

// Sums over 1360 pixels, in several chunks; those by float roundings differ by more than the others.
TEST(shortcut, kernels_agree_on_weights_over_many_pixels) {
  const Shape shape{2, 17, 40, 132};
  expect_parity("[shortcut]\nfrom=-3\nweights_type=per_channel", {shape, shape}, {2e-6f, 1e-5f});
}

TEST(shortcut, kernels_agree_for_two_layers) {
  for (Shape shape : kAwkwardShapes) {
    expect_parity("[shortcut]\nfrom=-3", {shape, shape});
    expect_parity_in_bf16("[shortcut]\nfrom=-3", {shape, shape});
    const Shape narrow{shape.n, shape.h, shape.w, (shape.c + 1) / 2};
    expect_parity("[shortcut]\nfrom=-3", {shape, narrow});
    expect_parity("[shortcut]\nfrom=-3", {narrow, shape});
  }
}

// Sizes, channels, alpha and beta that differ, with and without packs.
TEST(shortcut, kernels_agree_where_layers_meet_in_part) {
  const Shape small{2, 2, 3, 8}, large{2, 4, 6, 4}, odd{2, 4, 6, 3};
  for (Shape other : {large, odd})
    for (const char* keys : {"", "alpha=0.5\nbeta=2"}) {
      const std::string cfg = std::string("[shortcut]\nfrom=-3\n") + keys;
      expect_parity(cfg, {small, other}, {1e-6f, 1e-6f});
      expect_parity(cfg, {other, small}, {1e-6f, 1e-6f});
      expect_parity_in_bf16(cfg, {small, other}, {0x1p-7f, 0x1p-8f});
    }
}

TEST(shortcut, gradient_is_the_slope) {
  const std::vector<Shape> shapes = {kShape, kShape, {2, 2, 3, 2}, {2, 2, 3, 6}};
  std::vector<Values> x;
  for (size_t k = 0; k < shapes.size(); ++k) x.push_back(random_values(shapes[k], 5 + k));
  for (const char* keys :
       {"", "activation=swish", "activation=mish", "weights_type=per_feature\nactivation=mish",
        "weights_type=per_channel", "weights_type=per_channel\nweights_normalization=relu",
        "weights_type=per_feature\nweights_normalization=avg_relu",
        "weights_type=per_channel\nweights_normalization=softmax",
        "weights_type=per_feature\nweights_normalization=softmax\nactivation=logistic"})
    expect_gradient_on_both(std::string("[shortcut]\nfrom=-2,-3,-4\n") + keys, shapes, x);
  const std::vector<Shape> sampled = {{2, 2, 3, 4}, {2, 4, 6, 2}};
  expect_gradient_on_both("[shortcut]\nfrom=-3\nalpha=0.5\nbeta=2\nactivation=swish", sampled,
                          {random_values(sampled[0]), random_values(sampled[1])});
}

// With leaky the slope is read from the output, so x may lie on either side of the kink but not at it.
TEST(shortcut, gradient_of_leaky_is_the_slope) {
  const Values a = well_separated(kShape, 1), zeros(a.size(), 0.02f);
  expect_gradient_on_both("[shortcut]\nfrom=-3\nactivation=leaky", {kShape, kShape}, {a, zeros});
}

TEST(shortcut, only_a_plain_sum_of_equal_shapes_can_be_absorbed) {
  auto sum = [](const std::string& keys, std::vector<Shape> shapes) {
    return SingleLayer("[shortcut]\nfrom=-3\n" + keys, shapes).layer().plain_sum();
  };
  EXPECT_EQ(sum("activation=leaky", {kShape, kShape}), Activation::leaky);
  EXPECT_EQ(sum("", {kShape, {2, 2, 3, 2}}), std::nullopt);
  EXPECT_EQ(sum("alpha=2", {kShape, kShape}), std::nullopt);
  EXPECT_EQ(sum("weights_type=per_layer", {kShape, kShape}), std::nullopt);
}

TEST(shortcut, explains_what_is_wrong) {
  expect_error("[shortcut]", "test.cfg:1: [shortcut] from must be given");
  expect_error("[shortcut]\nfrom=-3",
               "test.cfg:2: [shortcut] layer `-3` is 1x7x7x4 and the layer before is 1x8x8x4",
               {{1, 8, 8, 4}, {1, 7, 7, 4}});
  expect_error("[shortcut]\nfrom=-3\nweights_type=per_feature",
               "with weights_type, heights and widths must be equal", {{1, 8, 8, 4}, {1, 4, 4, 4}});
  expect_error("[shortcut]\nfrom=-3\nweights_type=per_pixel", "weights_type must be one of none, per_feature",
               {{1, 8, 8, 4}, {1, 8, 8, 4}});
  expect_error("[shortcut]\nfrom=-3\nweights_normalization=relu",
               "weights_normalization needs a weights_type", {{1, 8, 8, 4}, {1, 8, 8, 4}});
}

}  // namespace
}  // namespace osprey
