#include "tests/layers/harness.h"

namespace osprey {
namespace {

// Two places of one column, two filters of 2x1 pixels ... of one channel; every weight is told apart.
TEST(local, has_filters_of_its_own_at_each_place) {
  SingleLayer layer("[local]\nfilters=2\nsize=2\nactivation=linear", {{1, 3, 2, 1}});
  EXPECT_EQ(layer.output(), (Shape{1, 2, 1, 2}));
  layer.parameter("weights") = {1, 0, 0, 0, 0, 1, 0, 0,   // at row 0: the pixel itself, its right neighbour
                                0, 0, 1, 0, 0, 0, 0, 1};  // at row 1: the pixels below
  layer.parameter("biases") = {10, 20, 30, 40};
  const Values x = {1, 2,  //
                    3, 4,  //
                    5, 6};
  expect_equal(layer.forward(x), {11, 22, 35, 46});
  expect_equal(layer.gradient({1, 10, 100, 1000}), {1, 10, 0, 0, 100, 1000});
  expect_equal(layer.parameter_gradient("biases"), {1, 10, 100, 1000});
  const Values want = {1,   2,   3,   4,   10,   20,   30,   40,  //
                       300, 400, 500, 600, 3000, 4000, 5000, 6000};
  expect_equal(layer.parameter_gradient("weights"), want);
}

// As DARKNET.md states it, by plain loops in double.
TEST(local, equals_plain_loops) {
  for (const auto& [size, stride, pad] : {std::array{3, 1, 1}, {3, 2, 1}, {3, 2, 0}, {5, 1, 0}, {1, 1, 0}}) {
    const Shape in{2, 6, 7, 3};
    SingleLayer layer(
        fmt::format("[local]\nfilters=4\nsize={}\nstride={}\npad={}\nactivation=leaky", size, stride, pad),
        {in});
    const Shape out = layer.output();
    EXPECT_EQ(out.h, pad ? (in.h - 1) / stride + 1 : (in.h - size) / stride + 1);
    EXPECT_EQ(out.w, pad ? (in.w - 1) / stride + 1 : (in.w - size) / stride + 1);
    const Values x = random_values(in, 2), biases = random_values({1, out.h, out.w, 4}, 3);
    layer.parameter("biases") = biases;
    const Values& weights = layer.parameter("weights");
    Values want;
    for (int i = 0; i < out.size(); ++i) {
      const auto [n, oh, ow, f] = out.pixel(i);
      const int value = (oh * out.w + ow) * 4 + f;
      double sum = biases[size_t(value)];
      for (int p = 0; p < size; ++p)
        for (int q = 0; q < size; ++q)
          for (int c = 0; c < in.c; ++c) {
            const int h = oh * stride - pad + p, w = ow * stride - pad + q;
            if (h < 0 || h >= in.h || w < 0 || w >= in.w) continue;
            sum += double(weights[size_t(((value * size + p) * size + q) * in.c + c)]) *
                   x[size_t(in.index(n, h, w, c))];
          }
      want.push_back(float(sum > 0 ? sum : sum / 10));
    }
    expect_equal(layer.forward(x), want, {1e-5f, 1e-6f});
  }
}

// Sums of up to 75 products, in another order.
TEST(local, kernels_agree) {
  constexpr Tolerance kSums = {1e-5f, 1e-5f};
  for (const char* cfg : {"[local]\nfilters=3\nsize=3\npad=1\nactivation=leaky", "[local]\nfilters=2",
                          "[local]\nfilters=2\nsize=2\nstride=2\nactivation=swish"}) {
    expect_parity(cfg, {{5, 4, 3, 3}}, kSums);  // five images: more than a warp takes at once
    expect_parity(cfg, {{1, 2, 5, 40}}, kSums);
    expect_parity_in_bf16(cfg, {{2, 3, 4, 8}}, {0x1p-7f, 0x1p-7f});
  }
  expect_parity("[local]", {{1, 1, 1, 1}}, kSums);
}

TEST(local, gradient_is_the_slope) {
  for (const char* cfg : {"[local]\nfilters=2\nsize=3\npad=1", "[local]\nsize=3\nstride=2\npad=1",
                          "[local]\nfilters=2\nsize=2\nactivation=linear"})
    expect_gradient_on_both(cfg, {2, 2, 3, 2});
}

TEST(local, explains_what_is_wrong) {
  expect_error("[local]\nfilters=2\nsize=5\npad=1", "test.cfg:4: [local] pad=1 goes with size=3");
  expect_error("[local]\nsize=9", "a window of 9 pixels does not fit into the input of 8x8");
  expect_error("[local]\nfilters=40000", "64 places x 40000 filters of 1024 weights are too many",
               {{1, 8, 8, 1024}});
}

}  // namespace
}  // namespace osprey
