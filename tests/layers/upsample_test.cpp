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

// As the top-down path of a pyramid over an image of odd size needs it.
TEST(upsample, takes_its_size_from_a_second_layer) {
  SingleLayer layer("[upsample]\nfrom=0,1\nscale=2", {{1, 1, 2, 1}, {1, 2, 3, 4}});
  EXPECT_EQ(layer.output(), (Shape{1, 2, 3, 1}));
  expect_equal(layer.forward({{1, 3}, Values(24, 7)}), {2, 2, 6, 2, 2, 6});
  const auto dx = layer.backward({1, 2, 3, 4, 5, 6}, {{1, 1}, Values(24, 5)});
  expect_equal(dx[0], {1 + 2 * 12, 1 + 2 * 9});
  expect_equal(dx[1], Values(24, 5));  // of the second layer nothing but the size matters
}

// By hand: the centres of five pixels lie at -0.2, 0.4, 1, 1.6, 2.2 of three; with corners aligned, at 0,
// 0.5,
// ..., 2.
TEST(upsample, interpolates) {
  const Shape five{1, 1, 5, 1};
  SingleLayer halves("[upsample]\nmode=bilinear\nfrom=0,1", {{1, 1, 3, 1}, five});
  expect_equal(halves.forward({{0, 10, 30}, Values(5)}), {0, 4, 10, 22, 30}, {1e-6f});
  expect_equal(halves.backward({1, 2, 3, 4, 5})[0], {1 + 1.2f, 0.8f + 3 + 1.6f, 2.4f + 5}, {1e-6f});
  SingleLayer corners("[upsample]\nmode=bilinear\nalign_corners=1\nfrom=0,1", {{1, 1, 3, 1}, five});
  expect_equal(corners.forward({{0, 10, 30}, Values(5)}), {0, 5, 10, 20, 30});
  SingleLayer twice("[upsample]\nmode=bilinear", {{1, 1, 2, 1}});
  expect_equal(twice.forward({0, 4}), {0, 1, 3, 4, 0, 1, 3, 4});
}

// Up to four products to a value; backward up to about (2 large / small + 1)^2 of them, in another order.
TEST(upsample, interpolating_kernels_agree) {
  const std::pair<Shape, Shape> sizes[] = {{{2, 5, 7, 6}, {2, 11, 13, 1}}, {{1, 3, 4, 8}, {1, 7, 4, 3}},
                                           {{1, 10, 9, 5}, {1, 3, 4, 2}},  {{1, 1, 1, 3}, {1, 4, 5, 1}},
                                           {{1, 4, 5, 16}, {1, 1, 1, 1}},  {{1, 2, 31, 1}, {1, 33, 5, 1}}};
  for (const char* mode : {"mode=bilinear", "mode=bilinear\nalign_corners=1\nscale=0.5", "mode=nearest"})
    for (const auto& [small, large] : sizes)
      expect_parity("[upsample]\nfrom=0,1\n" + std::string(mode), {small, large}, {1e-5f, 1e-5f});
  for (Shape shape : kAwkwardShapes) {
    expect_parity("[upsample]\nmode=bilinear", {shape}, {1e-5f, 1e-5f});
    expect_parity_in_bf16("[upsample]\nmode=bilinear\nalign_corners=1", {shape}, {0x1p-8f, 1e-5f});
  }
}

// Every input collects all its readers: the sum of dx is that of dy, whatever the sizes.
TEST(upsample, interpolating_loses_no_gradient) {
  for (int small = 1; small <= 9; ++small)
    for (int large = 1; large <= 23; ++large)
      for (bool align : {false, true}) {
        SCOPED_TRACE(fmt::format("{} to {}", small, large));
        const Shape in{1, small, 1, 1}, out{1, large, 1, 1};
        Values dy(large, 1), dx(small), by_kernels(small);
        Stream s, emulated{Device::cuda};
        cpu::bilinear_backward(s, {dy.data(), out}, {dx.data(), in}, 1, align);
        cuda::bilinear_backward(emulated, View<float>(dy.data(), out), View<float>(by_kernels.data(), in), 1,
                                align);
        float sum = 0;
        for (float v : dx) sum += v;
        EXPECT_NEAR(sum, large, 1e-4f);
        expect_equal(by_kernels, dx, {1e-5f, 1e-5f});
      }
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
  for (const char* cfg :
       {"[upsample]\nstride=3\nscale=2", "[upsample]\nstride=-2", "[upsample]\nmode=bilinear"})
    expect_gradient(cfg, {2, 4, 6, 3});
}

TEST(upsample, explains_what_is_wrong) {
  expect_error("[upsample]\nstride=0",
               "test.cfg:2: [upsample] stride must be 1 to 65536, or -1 to -65536, not 0");
  expect_error("[upsample]\nstride=-3",
               "test.cfg:2: [upsample] an input of 1x8x8x4 cannot be cut into blocks of 3x3");
  expect_error("[upsample]\nfrom=0,1\nstride=2",
               "test.cfg:3: [upsample] the second layer in `from` gives the size",
               {{1, 2, 2, 1}, {1, 3, 3, 1}});
  expect_error("[upsample]\nfrom=0,1,2", "test.cfg:2: [upsample] expected one layer, or two",
               {{1, 2, 2, 1}, {1, 3, 3, 1}, {1, 3, 3, 1}});
  expect_error("[upsample]\nmode=bilinear\nstride=-2",
               "test.cfg:3: [upsample] mode=bilinear takes no negative");
  expect_error("[upsample]\nalign_corners=1", "test.cfg:2: [upsample] align_corners=1 needs mode=bilinear");
  expect_error("[upsample]\nstride=60000", "2^31 elements are too many");
}

}  // namespace
}  // namespace osprey
