#include "core/parallel.h"
#include "tests/layers/harness.h"

namespace osprey {
namespace {

TEST(maxpool, takes_the_largest_of_each_quarter) {
  SingleLayer layer("[maxpool]\nsize=2\nstride=2\npadding=0", {{1, 4, 4, 1}});
  // clang-format off
  expect_equal(layer.forward({0,  1,  2,  3,
                              8,  7,  5,  6,
                              4,  3,  1,  2,
                              0, -1, -2, -3}), {8, 6,
                                                4, 2});
  expect_equal(layer.gradient({1, 2,
                               3, 4}), {0, 0, 0, 0,
                                        1, 0, 0, 2,
                                        3, 0, 0, 4,
                                        0, 0, 0, 0});
  // clang-format on
}

// The level above a pyramid's last, as FPN makes it: every second pixel.
TEST(maxpool, only_plain_windows_of_pixels_can_be_absorbed) {
  const auto windows = [](const std::string& keys) {
    return SingleLayer("[maxpool]\n" + keys, {{1, 6, 6, 4}}).layer().plain_pool();
  };
  const auto plain = windows("size=3\nstride=2");
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->h.size, 3);
  EXPECT_EQ(plain->w.stride, 2);
  EXPECT_FALSE(windows("size=2\nstride=2\nantialiasing=1"));
  EXPECT_FALSE(windows("maxpool_depth=1\nout_channels=2"));
}

TEST(maxpool, of_one_pixel_takes_every_second) {
  SingleLayer layer("[maxpool]\nsize=1\nstride=2", {{1, 3, 4, 1}});
  EXPECT_EQ(layer.output(), (Shape{1, 2, 2, 1}));
  expect_equal(layer.forward({1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}), {1, 3, 9, 11});
  expect_equal(layer.gradient({1, 2, 3, 4}), {1, 0, 2, 0, 0, 0, 0, 0, 3, 0, 4, 0});
}

TEST(maxpool, overlapping_windows_share_a_winner) {
  SingleLayer layer("[maxpool]\nsize=3\nstride=1\npadding=0", {{1, 3, 4, 1}});
  layer.forward({0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0});
  expect_equal(layer.backward({1, 2}, {Values(12, 10)})[0], {10, 10, 10, 10, 10, 13, 10, 10, 10, 10, 10, 10});
}

// Darknet: output (in + padding - size) / stride + 1, padding size - 1 unless given, its odd row after the
// image.
TEST(maxpool, has_darknets_shapes) {
  const struct {
    const char* keys;
    int in, out;
  } cases[] = {{"size=2\nstride=2", 7, 4},
               {"size=2\nstride=1", 7, 7},
               {"size=3\nstride=2", 7, 4},
               {"stride=2", 7, 4},
               {"size=5", 9, 9},
               {"size=13\nstride=1", 5, 5},
               {"size=3\nstride=2\npadding=0", 7, 3},
               {"size=3\nstride=2\npadding=1", 8, 4}};
  for (const auto& c : cases) {
    SingleLayer layer(std::string("[maxpool]\n") + c.keys, {{2, c.in, c.in + 1, 3}});
    EXPECT_EQ(layer.output().h, c.out) << c.keys;
  }
  SingleLayer narrow("[maxpool]\nsize=2\nstride_x=1\nstride_y=2", {{1, 6, 6, 1}});
  EXPECT_EQ(narrow.output(), (Shape{1, 3, 6, 1}));
  SingleLayer alias("[max]\nsize=2", {{1, 6, 6, 1}});
}

TEST(maxpool, windows_hang_over_the_edge_and_padding_never_wins) {
  SingleLayer right("[maxpool]\nsize=2\nstride=1", {{1, 2, 3, 1}});  // pads after the image only
  expect_equal(right.forward({-1, -2, -3, -4, -5, -6}), {-1, -2, -3, -4, -5, -6});
  SingleLayer both("[maxpool]\nsize=3\nstride=2", {{1, 1, 5, 1}});  // columns -1..1, 1..3, 3..5
  expect_equal(both.forward({-5, -4, -3, -2, -1}), {-4, -2, -1});
}

TEST(maxpool, of_equal_values_the_first_wins) {
  SingleLayer layer("[maxpool]\nsize=2\nstride=2", {{1, 2, 2, 1}});
  layer.forward(Values{5, 5, 5, 5});
  expect_equal(layer.gradient({1}), {1, 0, 0, 0});
}

TEST(maxpool, is_the_same_without_winners_and_for_any_number_of_threads) {
  const Shape shape{2, 40, 40, 24};
  const Values x = random_values(shape), dy = random_values({2, 20, 20, 24});
  SingleLayer training("[maxpool]\nsize=3\nstride=2", {shape});
  SingleLayer inference("[maxpool]\nsize=3\nstride=2", {shape}, Device::cpu, false);
  const Values y = training.forward(x);
  expect_equal(inference.forward(x), y);
  const Values dx = training.gradient(dy);
  const int before = threads();
  set_threads(before == 1 ? 3 : 1);
  expect_equal(training.forward(x), y);
  expect_equal(training.gradient(dy), dx);
  set_threads(before);
}

TEST(maxpool, kernels_agree) {
  for (const char* cfg :
       {"[maxpool]\nsize=2\nstride=2", "[maxpool]\nsize=3\nstride=1", "[maxpool]\nsize=5\nstride=2",
        "[maxpool]\nsize=1", "[maxpool]\nsize=3\nstride_x=2\nstride_y=1\npadding=1",
        // Pixels that no window sees: the last ones, and those between.
        "[maxpool]\nsize=2\nstride=2\npadding=0", "[maxpool]\nsize=2\nstride=3"})
    for (Shape shape : {Shape{2, 7, 9, 5}, {1, 5, 6, 16}}) {
      expect_parity(cfg, {shape});
      expect_parity_in_bf16(cfg, {shape});
    }
  for (Shape shape : kAwkwardShapes) expect_parity("[maxpool]\nsize=2\nstride=1", {shape});
}

TEST(maxpool, gradient_is_the_slope) {
  const Shape shape{1, 5, 4, 3};
  for (const char* cfg : {"[maxpool]\nsize=2\nstride=2", "[maxpool]\nsize=3\nstride=1"})
    expect_gradient_on_both(cfg, {shape}, {well_separated(shape)});
}

TEST(maxpool, may_go_over_channels) {
  for (Device device : {Device::cpu, Device::cuda}) {
    SingleLayer layer("[maxpool]\nmaxpool_depth=1\nout_channels=2\nstride=1\nsize=1", {{1, 1, 2, 5}}, device);
    expect_equal(layer.forward({1, 2, 3, 4, 3,  //
                                5, 9, 1, 9, 2}),
                 {3, 4, 5, 9});
    expect_equal(layer.backward({1, 2, 3, 4}, {Values(10, 10)})[0], {10, 10, 11, 12, 10, 13, 14, 10, 10, 10});
  }
  for (Shape shape : kAwkwardShapes) {
    expect_parity("[maxpool]\nmaxpool_depth=1", {shape});
    expect_parity_in_bf16("[maxpool]\nmaxpool_depth=1", {shape});
  }
}

// Windows of one pixel let the blur alone be seen: 1/4, 1/2, 1/4 with a pixel of zeros around the image, or
// 1/2, 1/2 without.
TEST(maxpool, blurs_before_it_leaves_pixels_out) {
  for (Device device : {Device::cpu, Device::cuda}) {
    SingleLayer three("[maxpool]\nsize=1\nstride=2\nantialiasing=1", {{1, 1, 4, 1}}, device);
    expect_equal(three.forward({16, 32, 64, 128}), {8, 36});  // half, for the rows of zeros
    expect_equal(three.backward({8, 16}, {Values(4, 1)})[0], {3, 4, 5, 3});
    SingleLayer two("[maxpool]\nsize=1\nstride=2\nantialiasing=2", {{1, 2, 4, 1}}, device, false);
    expect_equal(two.forward({4, 8, 0, 0,  //
                              0, 4, 0, 4}),
                 {4, 1});
  }
  SingleLayer pool("[maxpool]\nsize=2\nstride=2\nantialiasing=1", {{1, 2, 2, 1}});  // maxima, then the blur
  expect_equal(pool.forward({1, 2, 3, 4}), {4 * 0.75f * 0.75f});
}

TEST(maxpool, kernels_agree_on_the_blur) {
  for (const char* cfg : {"[maxpool]\nsize=2\nstride=2\nantialiasing=1",
                          "[maxpool]\nsize=3\nstride_x=2\nstride_y=1\nantialiasing=2"})
    for (Shape shape : {Shape{2, 5, 7, 3}, {1, 4, 6, 8}}) {
      expect_parity(cfg, {shape}, {1e-6f, 1e-6f});
      expect_parity_in_bf16(cfg, {shape}, {0x1p-6f, 0x1p-6f});  // roundings before and after the blur
    }
  const Shape shape{1, 5, 4, 3};
  expect_gradient_on_both("[maxpool]\nsize=2\nstride=2\nantialiasing=1", {shape}, {well_separated(shape)});
}

TEST(maxpool, explains_what_is_wrong) {
  expect_error("[maxpool]\nsize=0", "test.cfg:2: [maxpool] size must be between 1 and 65536, not 0");
  expect_error("[maxpool]\nstrid=2", "test.cfg:2: [maxpool] unknown key `strid`, did you mean `stride`?");
  expect_error("[maxpool]\nsize=2\npadding=4", "test.cfg:3: [maxpool] padding leaves windows with no pixel");
  expect_error("[maxpool]\nsize=9\npadding=0",
               "test.cfg:2: [maxpool] a window of 9 does not fit an input of 1x8x8x4");
  expect_error("[maxpool]\nout_channels=2", "test.cfg:2: [maxpool] out_channels needs maxpool_depth=1");
  expect_error("[maxpool]\nmaxpool_depth=1\nsize=2", "maxpool_depth=1 has no window of pixels");
  expect_error("[maxpool]\nmaxpool_depth=1\nout_channels=5", "out_channels=5 is more than the 4 channels");
  expect_error("[maxpool]\nantialiasing=3", "antialiasing must be between 0 and 2, not 3");
}

}  // namespace
}  // namespace osprey
