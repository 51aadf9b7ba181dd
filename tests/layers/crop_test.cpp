#include <set>

#include "tests/layers/harness.h"

namespace osprey {
namespace {

Values counted(Shape s) {
  Values v(size_t(s.size()));
  for (size_t i = 0; i < v.size(); ++i) v[i] = float(i);
  return v;
}

TEST(crop, takes_the_middle_in_detection) {
  SingleLayer plain("[crop]\ncrop_height=2\ncrop_width=1\nnoadjust=1\nflip=1", {{1, 4, 4, 1}}, Device::cpu,
                    false);
  expect_equal(plain.forward(counted({1, 4, 4, 1})), {5, 9});
  SingleLayer adjusted("[crop]\ncrop_height=1\ncrop_width=2", {{1, 1, 2, 1}}, Device::cpu, false);
  expect_equal(adjusted.forward({0, 0.75f}), {-1, 0.5f});
}

// Where a part of 2x3 of an image of 4x5 lies, and whether it is mirrored, by its first and last value.
std::set<std::array<int, 3>> places(const std::string& keys, Device device) {
  const Shape in{2, 4, 5, 1};
  SingleLayer layer("[crop]\ncrop_height=2\ncrop_width=3\nnoadjust=1\n" + keys, {in}, device);
  std::set<std::array<int, 3>> seen;
  for (int pass = 0; pass < 200; ++pass) {
    layer.step.pass = pass;
    const Values y = layer.forward(counted(in));
    const bool mirrored = y[0] > y[1];
    const int corner = int(mirrored ? y[2] : y[0]), h = corner / 5, w = corner % 5;
    seen.insert({h, w, mirrored});
    Values dx_want(size_t(in.size()), 0);
    for (int n = 0; n < 2; ++n)
      for (int i = 0; i < 2; ++i)
        for (int j = 0; j < 3; ++j) {
          const int from = in.index(n, h + i, w + (mirrored ? 2 - j : j), 0), to = (n * 2 + i) * 3 + j;
          EXPECT_EQ(y[size_t(to)], float(from));  // one place for all images
          dx_want[size_t(from)] = float(to + 1);
        }
    Values dy = counted(layer.output());
    for (float& v : dy) v += 1;
    expect_equal(layer.gradient(dy), dx_want);
  }
  return seen;
}

TEST(crop, takes_every_place_in_training) {
  for (Device device : {Device::cpu, Device::cuda}) {
    const auto plain = places("", device), flipped = places("flip=1", device);
    EXPECT_EQ(plain.size(), 9u);  // 3 x 3 places
    for (const auto& place : plain) EXPECT_EQ(place[2], 0);
    EXPECT_EQ(flipped.size(), 18u);
  }
}

TEST(crop, kernels_agree) {
  for (const char* cfg : {"[crop]\ncrop_height=2\ncrop_width=3\nflip=1", "[crop]"})
    for (Shape shape : {Shape{1, 2, 3, 1}, {2, 5, 7, 3}, {1, 4, 3, 8}}) {
      expect_parity(cfg, {shape});
      expect_parity_in_bf16(cfg, {shape});
    }
}

TEST(crop, gradient_is_the_slope) {
  expect_gradient_on_both("[crop]\ncrop_height=2\ncrop_width=3\nflip=1", {2, 4, 5, 2});
}

TEST(crop, explains_what_is_wrong) {
  expect_error("[crop]\ncrop_height=9", "crop_height=9 is more than the 8 rows of the input");
  expect_error("[crop]\ncrop_width=9", "crop_width=9 is more than the 8 columns of the input");
  expect_error("[crop]\nsaturation=1.5",
               "test.cfg:2: [crop] saturation is not supported here: saturation in [net]");
  expect_error("[crop]\nangle=7", "test.cfg:2: [crop] angle is not supported here");
}

}  // namespace
}  // namespace osprey
