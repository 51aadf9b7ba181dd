#include "cuda/upsample.h"

#include "tests/layers/harness.h"

namespace osprey {
namespace {

TEST(upsample, repeats_each_pixel) {
  SingleLayer layer("[upsample]\nstride=2\nscale=10", {{1, 1, 2, 1}});
  // clang-format off
  expect_equal(layer.forward({1, 2}), {10, 10, 20, 20,
                                       10, 10, 20, 20});
  expect_equal(layer.gradient({1, 2, 3, 4,
                               5, 6, 7, 8}), {140, 220});
  // clang-format on
}

TEST(upsample, sums_blocks_where_stride_is_negative) {
  SingleLayer layer("[upsample]\nstride=-2\nscale=0.5", {{1, 2, 4, 1}});
  EXPECT_EQ(layer.output(), (Shape{1, 1, 2, 1}));
  expect_equal(layer.forward({1, 2, 3, 4, 5, 6, 7, 8}), {7, 11});
  expect_equal(layer.backward({2, 4}, {Values(8, 1)})[0], {2, 2, 3, 3, 2, 2, 3, 3});
}

// As torch.nn.functional.interpolate(mode="nearest"): pixel floor(i * in / out).
TEST(upsample, serves_sizes_that_are_no_multiple) {
  Values x = {1, 2, 3}, y(5), dy = {1, 2, 3, 4, 5}, dx(3);
  Stream s;
  cpu::upsample_forward(s, {x.data(), {1, 1, 3, 1}}, {y.data(), {1, 1, 5, 1}}, 1);
  expect_equal(y, {1, 1, 2, 2, 3});
  cpu::upsample_backward(s, {dy.data(), {1, 1, 5, 1}}, {dx.data(), {1, 1, 3, 1}}, 1);
  expect_equal(dx, {3, 7, 5});
}

// Backward sums 4 or 9 terms of at most 1 onto a value of at most 1: 2 sqrt(10) 2^-24 * 10 = 4e-6.
TEST(upsample, kernels_agree) {
  for (const char* cfg : {"[upsample]", "[upsample]\nstride=3\nscale=0.7", "[upsample]\nstride=-2"})
    for (Shape shape : {Shape{2, 4, 6, 6}, {1, 2, 2, 8}, {1, 4, 2, 33}}) {
      expect_parity(cfg, {shape}, {0, 4e-6f});
      expect_parity_in_bf16(cfg, {shape});
    }
  for (Shape shape : kAwkwardShapes) expect_parity("[upsample]", {shape});
}

TEST(upsample, gradient_is_the_slope) {
  for (const char* cfg : {"[upsample]\nstride=3\nscale=2", "[upsample]\nstride=-2"})
    expect_gradient(cfg, {2, 4, 6, 3});
}

TEST(upsample, explains_what_is_wrong) {
  expect_error("[upsample]\nstride=0",
               "test.cfg:2: [upsample] stride must be 1 to 65536, or -1 to -65536, not 0");
  expect_error("[upsample]\nstride=-3",
               "test.cfg:2: [upsample] an input of 1x8x8x4 cannot be cut into blocks of 3x3");
  expect_error("[upsample]\nstride=60000", "2^31 elements are too many");
}

}  // namespace
}  // namespace osprey
