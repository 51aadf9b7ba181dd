#include "tests/layers/harness.h"

namespace osprey {
namespace {

TEST(scale_channels, multiplies_each_channel_by_its_factor) {
  SingleLayer layer("[scale_channels]\nfrom=-4", {{1, 1, 1, 2}, {1, 1, 2, 2}});
  expect_equal(layer.forward({{2, 3}, {1, 10, 5, 20}}), {2, 30, 10, 60});
  const auto dx = layer.backward({1, 1, 2, 2}, {{100, 100}, {0, 0, 0, 0}});
  expect_equal(dx[0], {111, 150});
  expect_equal(dx[1], {2, 3, 4, 6});
}

TEST(scale_channels, multiplies_each_pixel_by_its_factor) {
  SingleLayer layer("[scale_channels]\nfrom=-4\nscale_wh=1", {{1, 1, 2, 1}, {1, 1, 2, 2}});
  expect_equal(layer.forward({{2, 3}, {1, 10, 5, 20}}), {2, 20, 15, 60});
  expect_equal(layer.backward({1, 1, 2, 2})[0], {11, 50});
}

// Sums of up to 66 values in another order.
TEST(scale_channels, kernels_agree) {
  const std::string by_channel = "[scale_channels]\nfrom=-4", by_pixel = by_channel + "\nscale_wh=1";
  for (Shape shape :
       {Shape{2, 6, 11, 5}, {2, 3, 3, 24}, {1, 1, 1, 1}, {1, 1, 3, 3}, {2, 1, 2, 8}, {1, 5, 1, 65}}) {
    const Shape channels{shape.n, 1, 1, shape.c}, pixels{shape.n, shape.h, shape.w, 1};
    expect_parity(by_channel, {channels, shape}, {2e-6f, 2e-6f});
    expect_parity(by_pixel, {pixels, shape}, {2e-6f, 2e-6f});
    expect_parity_in_bf16(by_channel, {channels, shape}, {0x1p-8f, 4e-6f});
    expect_parity_in_bf16(by_pixel, {pixels, shape}, {0x1p-8f, 4e-6f});
  }
}

TEST(scale_channels, gradient_is_the_slope) {
  const Shape channels{2, 1, 1, 5}, pixels{2, 3, 4, 1}, x{2, 3, 4, 5};
  for (const char* activation : {"", "activation=logistic", "activation=swish"}) {
    const std::string cfg = std::string("[scale_channels]\nfrom=-4\n") + activation;
    expect_gradient_on_both(cfg, {channels, x}, {random_values(channels, 1), random_values(x, 2)});
    expect_gradient_on_both(cfg + "\nscale_wh=1", {pixels, x},
                            {random_values(pixels, 1), random_values(x, 2)});
  }
}

TEST(scale_channels, explains_what_is_wrong) {
  expect_error("[scale_channels]", "test.cfg:1: [scale_channels] from must be given");
  expect_error("[scale_channels]\nfrom=2",
               "layer `2` is 1x8x8x5, so the layer before must be 1x1x1x5, not 1x1x1x4",
               {{1, 1, 1, 4}, {1, 8, 8, 5}});
}

}  // namespace
}  // namespace osprey
