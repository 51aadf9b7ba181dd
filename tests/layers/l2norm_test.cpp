#include <cmath>

#include "tests/layers/harness.h"

namespace osprey {
namespace {

TEST(l2norm, gives_each_pixel_the_length_one) {
  SingleLayer layer("[l2norm]", {{1, 1, 3, 2}}, Device::cpu, false);
  expect_equal(layer.forward({3, 4, 0, -2, 1e-3f, 0}), {0.6f, 0.8f, 0, -1, 1, 0}, {1e-6f});
  EXPECT_TRUE(layer.parameters().empty());  // as in Darknet, unless scale= is given
}

TEST(l2norm, has_a_learned_factor_for_each_channel) {
  SingleLayer layer("[l2norm]\nscale=20", {{1, 1, 1, 2}});
  expect_equal(layer.parameter("scales"), {20, 20});
  layer.parameter("scales") = {10, 5};
  expect_equal(layer.forward({3, 4}), {6, 4}, {1e-6f});
  layer.parameter_gradient("scales") = {100, 100};  // added to
  layer.backward({1, 2});
  expect_equal(layer.parameter_gradient("scales"), {100.6f, 101.6f}, {1e-6f});
}

TEST(l2norm, learns_nothing_from_a_pixel_of_zeros) {
  for (Device device : {Device::cpu, Device::cuda}) {
    SingleLayer layer("[l2norm]\nscale=20", {{1, 1, 2, 3}}, device);
    expect_equal(layer.forward(Values(6, 0)), Values(6, 0));
    expect_equal(layer.backward(Values(6, 1), {Values(6, 7)})[0], Values(6, 7));
    expect_equal(layer.parameter_gradient("scales"), Values(3, 0));
  }
}

// Sums of up to 255 squares, of 90 rows, in another order.
TEST(l2norm, kernels_agree) {
  for (const char* cfg : {"[l2norm]", "[l2norm]\nscale=20", "[l2norm]\nscale=2\neps=0.5"}) {
    for (Shape shape : kAwkwardShapes) {
      expect_parity(cfg, {shape}, {2e-6f, 1e-5f});
      expect_parity_in_bf16(cfg, {shape}, {0x1p-8f, 1e-4f});
    }
    expect_parity(cfg, {{2, 9, 5, 40}}, {2e-6f, 2e-5f});
  }
  expect_parity("[l2norm]\nscale=1", {{1, 50, 50, 140}}, {2e-6f, 2e-4f});  // several chunks and tiles
}

TEST(l2norm, gradient_is_the_slope) {
  for (const char* cfg : {"[l2norm]", "[l2norm]\nscale=3", "[l2norm]\nscale=2\neps=0.5"})
    for (Shape shape : {Shape{2, 2, 3, 5}, {1, 1, 2, 8}}) expect_gradient_on_both(cfg, shape);
}

TEST(l2norm, explains_what_is_wrong) {
  expect_error("[l2norm]\nscale=-1", "test.cfg:2: [l2norm] scale must be at least 0, not -1");
  expect_error("[l2norm]\neps=0", "test.cfg:2: [l2norm] eps must be more than 0, not 0");
}

}  // namespace
}  // namespace osprey
