#include <cmath>

#include "tests/data/temporary.h"
#include "tests/layers/harness.h"

namespace osprey {
namespace {

const float kThird = 1.0f / 3;

TEST(softmax, makes_values_sum_to_one) {
  SingleLayer layer("[softmax]", {{2, 1, 1, 2}}, Device::cpu, false);
  expect_equal(layer.forward({0, std::log(2.0f), 1000, 1000 + std::log(3.0f)}),
               {kThird, 2 * kThird, 0.25f, 0.75f}, {1e-4f});  // log(3) beside 1000 has 2^-14 left
}

TEST(softmax, has_a_temperature) {
  SingleLayer layer("[soft]\ntemperature=2", {{1, 1, 1, 2}}, Device::cpu, false);
  expect_equal(layer.forward({0, 2 * std::log(2.0f)}), {kThird, 2 * kThird}, {1e-6f});
}

// A group is a part of the channels, over the whole image; with spatial=1, the channels of one pixel.
TEST(softmax, has_groups) {
  SingleLayer parts("[softmax]\ngroups=2", {{1, 1, 1, 4}}, Device::cpu, false);
  expect_equal(parts.forward({1, 1, 2, 2}), {0.5f, 0.5f, 0.5f, 0.5f});
  SingleLayer image("[softmax]\ngroups=2", {{1, 1, 2, 4}}, Device::cpu, false);
  expect_equal(image.forward(Values(8, 3)), Values(8, 0.25f));
  SingleLayer pixel("[softmax]\nspatial=1", {{1, 1, 2, 4}}, Device::cpu, false);
  expect_equal(pixel.forward({1, 1, 1, 1, 5, 5, 5, 5}), Values(8, 0.25f));
}

// -target ln p, and the gradient p - target, to which dy is added as it is.
TEST(softmax, is_a_loss) {
  SingleLayer layer("[softmax]", {{2, 1, 1, 2}});
  layer.targets = {0, 1, 0.5f, 0};
  layer.forward({0, std::log(2.0f), 0, 0});
  EXPECT_TRUE(layer.layer().has_loss());
  EXPECT_NEAR(layer.report.loss, std::log(1.5) + 0.5 * std::log(2.0), 1e-6);
  expect_equal(layer.backward({0, 0, 0, 4}, {{0, 0, 10, 0}})[0], {kThird, -kThird, 10, 4.5f}, {1e-6f, 1e-7f});
}

// Sums of up to 255 positive values, and of their logarithms, in another order.
TEST(softmax, kernels_agree) {
  for (Shape shape : kAwkwardShapes) {
    expect_parity("[softmax]", {shape}, {2e-6f, 1e-6f});
    expect_parity("[softmax]\nnoloss=1\nspatial=1", {shape}, {2e-6f, 1e-6f});
    // The gradient is worked out from the rounded output.
    expect_parity_in_bf16("[softmax]\nnoloss=1", {shape}, {0x1p-7f, 0x1p-8f});
  }
  expect_parity("[softmax]\nnoloss=1\ngroups=3\ntemperature=2", {{9, 2, 1, 99}}, {2e-6f, 1e-6f});
}

TEST(softmax, gradient_without_loss_is_the_slope) {
  expect_gradient_on_both("[softmax]\nnoloss=1", {3, 1, 1, 7});
  expect_gradient_on_both("[softmax]\nnoloss=1\ngroups=2\ntemperature=0.5", {2, 2, 1, 6});
  expect_gradient_on_both("[softmax]\nnoloss=1\nspatial=1", {2, 2, 3, 4});
}

// Two roots; the first has three children, of which the second has two.
constexpr const char* kTree = "a -1\nb -1\nc 0\nd 0\ne 0\nf 3\ng 3\n";

// The target d makes its ancestor a true; f and g, of which none is true, learn nothing.
TEST(softmax, of_a_tree_is_a_loss_of_each_branch) {
  const Temporary folder;
  for (Device device : {Device::cpu, Device::cuda}) {
    SingleLayer layer("[softmax]\ntree=" + folder.write("7.tree", kTree), {{2, 1, 1, 7}}, device);
    layer.targets = {0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0};
    const Values x = {std::log(3.f), 0, 0, std::log(6.f), 0, 1, 1, 0, 0, 0, 0, 0, 0, 0};
    expect_equal(layer.forward(x),
                 {.75f, .25f, .125f, .75f, .125f, .5f, .5f, .5f, .5f, kThird, kThird, kThird, .5f, .5f},
                 {2e-6f});
    EXPECT_NEAR(layer.report.loss, -2 * std::log(.75) - std::log(.5), 1e-6);
    expect_equal(layer.backward(Values(14, 0))[0],
                 {-.25f, .25f, .125f, -.25f, .125f, 0, 0, .5f, -.5f, 0, 0, 0, 0, 0}, {2e-6f, 1e-6f});
  }
}

TEST(softmax, of_a_tree_is_the_same_by_kernels) {
  const Temporary folder;
  std::string tree = "root -1\n";  // more classes and groups than a warp has lanes
  for (int c = 1; c < 100; ++c) tree += "c" + std::to_string(c) + " " + std::to_string((c - 1) / 2) + "\n";
  const std::string key = "\ntree=" + folder.write("100.tree", tree);
  expect_parity("[softmax]\nnoloss=1\ntemperature=2" + key, {{3, 1, 1, 100}}, {2e-6f, 1e-6f});
  expect_parity("[softmax]" + key, {{3, 1, 1, 100}}, {2e-6f, 1e-6f});
  SingleLayer loop("[softmax]" + key, {{2, 1, 1, 100}});
  SingleLayer kernels("[softmax]" + key, {{2, 1, 1, 100}}, Device::cuda);
  const Values x = random_values({2, 1, 1, 100}, 3);
  for (const int leaf : {99, 32, 31, 0}) {
    for (SingleLayer* layer : {&loop, &kernels}) {
      std::fill(layer->targets.begin(), layer->targets.end(), 0.0f);
      layer->targets[size_t(leaf)] = layer->targets[100] = 1;
      layer->forward(x);
    }
    EXPECT_NEAR(kernels.report.loss, loop.report.loss, 1e-6 * loop.report.loss) << leaf;
    expect_equal(kernels.backward(Values(200, 0))[0], loop.backward(Values(200, 0))[0], {2e-6f, 1e-6f});
  }
}

TEST(softmax, of_a_tree_without_loss_has_its_slope) {
  const Temporary folder;
  expect_gradient_on_both("[softmax]\nnoloss=1\ntree=" + folder.write("7.tree", kTree), {2, 1, 1, 7});
}

TEST(softmax, explains_what_is_wrong) {
  expect_error("[softmax]\ngroups=3",
               "test.cfg:2: [softmax] the 4 channels of the input cannot be cut into 3");
  expect_error("[softmax]\ntree=x.tree", "test.cfg:2: [softmax] tree=x.tree: there is no such file");
  const Temporary folder;
  const std::string tree = "\ntree=" + folder.write("a.tree", "a -1\nb -1\nc 1\n");
  expect_error("[softmax]" + tree, "a.tree has 3 classes, but the input is 1x8x8x4: it must be 1x1x1x3");
  expect_error("[softmax]\ngroups=3" + tree, "[softmax] the groups are those of the tree", {{1, 1, 1, 3}});
  expect_error("[softmax]\ntemperature=0", "test.cfg:2: [softmax] temperature must be more than 0, not 0");
}

}  // namespace
}  // namespace osprey
