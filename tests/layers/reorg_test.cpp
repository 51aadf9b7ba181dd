#include "tests/layers/harness.h"

namespace osprey {
namespace {

// A value's number in Darknet's order c, h, w; written at its place in ours.
Values numbered(Shape s) {
  Values v(s.elements());
  for (int n = 0; n < s.n; ++n)
    for (int h = 0; h < s.h; ++h)
      for (int w = 0; w < s.w; ++w)
        for (int c = 0; c < s.c; ++c) v[s.index(n, h, w, c)] = float(((n * s.c + c) * s.h + h) * s.w + w);
  return v;
}

// Darknet's loop, as DARKNET.md states it, on values in its own order.
Values darknet(const Values& x, Shape frame, int images, int s, bool reverse) {
  Values y(x.size());
  const int w = frame.w, h = frame.h, channels = frame.c / (s * s);
  for (int n = 0; n < images; ++n)
    for (int k = 0; k < frame.c; ++k)
      for (int j = 0; j < h; ++j)
        for (int i = 0; i < w; ++i) {
          const int image = n * w * h * frame.c, near = image + i + w * (j + h * k);
          const int far = image + (i * s + k / channels % s) +
                          w * s * ((j * s + k / channels / s) + h * s * (k % channels));
          (reverse ? y[far] : y[near]) = reverse ? x[near] : x[far];
        }
  return y;
}

Values in_our_order(const Values& chw, Shape s) {
  Values v(s.elements());
  for (int n = 0; n < s.n; ++n)
    for (int h = 0; h < s.h; ++h)
      for (int w = 0; w < s.w; ++w)
        for (int c = 0; c < s.c; ++c) v[s.index(n, h, w, c)] = chw[((n * s.c + c) * s.h + h) * s.w + w];
  return v;
}

void expect_darknets_order(const std::string& section, int stride, bool reverse, Shape in,
                           bool frame_of_output) {
  SCOPED_TRACE(section + in.text());
  SingleLayer layer(fmt::format("[{}]\nstride={}\nreverse={}", section, stride, int(reverse)), {in});
  const Shape out = layer.output();
  Values chw(in.elements());
  for (size_t i = 0; i < chw.size(); ++i) chw[i] = float(i);
  const Values want = darknet(chw, frame_of_output ? out : in, in.n, stride, reverse);
  expect_equal(layer.forward(numbered(in)), in_our_order(want, out));
  // A permutation's transpose is its inverse.
  expect_equal(layer.gradient(in_our_order(want, out)), numbered(in));
}

TEST(reorg, has_darknets_order) {
  expect_darknets_order("reorg", 2, false, {2, 4, 6, 8}, false);
  expect_darknets_order("reorg", 3, false, {1, 6, 3, 9}, false);
  expect_darknets_order("reorg", 2, true, {2, 2, 3, 8}, false);
  expect_darknets_order("reorg3d", 2, false, {2, 4, 6, 3}, true);
  expect_darknets_order("reorg3d", 3, false, {1, 6, 3, 2}, true);
  expect_darknets_order("reorg3d", 2, true, {2, 2, 3, 16}, true);
}

TEST(reorg, is_not_a_space_to_depth) {
  SingleLayer quirk("[reorg]\nstride=2", {{1, 2, 4, 4}}), plain("[reorg3d]\nstride=2", {{1, 2, 4, 4}});
  const Values x = numbered({1, 2, 4, 4});
  EXPECT_NE(quirk.forward(x), plain.forward(x));
}

TEST(reorg3d, puts_a_block_of_pixels_side_by_side) {
  SingleLayer layer("[reorg3d]\nstride=2", {{1, 2, 2, 2}});
  expect_equal(layer.forward({1, 2, 3, 4, 5, 6, 7, 8}), {1, 2, 3, 4, 5, 6, 7, 8});
  SingleLayer wide("[reorg3d]\nstride=2", {{1, 2, 4, 1}});
  expect_equal(wide.forward({1, 2, 3, 4, 5, 6, 7, 8}), {1, 2, 5, 6, 3, 4, 7, 8});
}

TEST(reorg, reverse_undoes_a_space_to_depth) {
  SingleLayer down("[reorg3d]\nstride=2", {{2, 4, 6, 3}}),
      up("[reorg]\nstride=2\nreverse=1", {{2, 2, 3, 12}});
  const Values x = random_values({2, 4, 6, 3});
  expect_equal(up.forward(down.forward(x)), x);
}

// Moves, and one addition: equal bits.
TEST(reorg, kernels_agree) {
  for (const char* cfg : {"[reorg]\nstride=2", "[reorg3d]\nstride=2", "[reorg]\nstride=2\nreverse=1",
                          "[reorg3d]\nstride=2\nreverse=1"})
    for (Shape shape : {Shape{2, 4, 6, 16}, {1, 2, 2, 16}}) {
      expect_parity(cfg, {shape});
      expect_parity_in_bf16(cfg, {shape});
    }
  expect_parity("[reorg]", {{1, 1, 1, 1}});
  expect_parity("[reorg3d]\nstride=3", {{2, 3, 6, 7}});
}

TEST(reorg, gradient_is_the_slope) {
  expect_gradient_on_both("[reorg]\nstride=2", {2, 4, 2, 4});
  expect_gradient_on_both("[reorg3d]\nstride=2", {2, 4, 2, 3});
}

// As pjreddie's: out[i C + c] = in[c HW + i], in the order of Darknet's memory.
TEST(reorg, flattens_and_appends_zeros) {
  const Shape in{2, 2, 3, 4};
  Values chw(size_t(in.size())), swapped(chw.size());
  for (size_t i = 0; i < chw.size(); ++i) chw[i] = float(i);
  for (int n = 0; n < 2; ++n)
    for (int c = 0; c < 4; ++c)
      for (int i = 0; i < 6; ++i) swapped[size_t(n * 24 + i * 4 + c)] = chw[size_t(n * 24 + c * 6 + i)];
  for (Device device : {Device::cpu, Device::cuda}) {
    SingleLayer flat("[reorg]\nflatten=1", {in}, device), back("[reorg]\nflatten=1\nreverse=1", {in}, device);
    expect_equal(flat.forward(in_our_order(chw, in)), in_our_order(swapped, in));
    expect_equal(back.forward(in_our_order(swapped, in)), in_our_order(chw, in));
    SingleLayer extra("[reorg]\nextra=2", {in}, device);
    EXPECT_EQ(extra.output(), (Shape{2, 1, 1, 26}));
    Values want;
    for (int i = 0; i < 52; ++i) want.push_back(i % 26 < 24 ? chw[size_t(i / 26 * 24 + i % 26)] : 0);
    expect_equal(extra.forward(in_our_order(chw, in)), want);
  }
  for (const char* cfg : {"[reorg]\nflatten=1", "[reorg]\nflatten=1\nreverse=1", "[reorg]\nextra=3"}) {
    expect_parity(cfg, {in});
    expect_gradient_on_both(cfg, in);
  }
}

TEST(reorg, explains_what_is_wrong) {
  expect_error("[reorg]\nstride=3", "test.cfg:2: [reorg] the 4 channels of the input must be a multiple");
  expect_error("[reorg]\nstride=2", "an input of 1x7x8x4 cannot be cut into blocks of 2x2", {{1, 7, 8, 4}});
  expect_error("[reorg]\nstride=2\nflatten=1", "flatten=1 goes with stride=1");
  expect_error("[reorg]\nflatten=1\nextra=1", "extra only appends zeros");
  expect_error("[reorg3d]\nstride=2\nreverse=1", "must be a multiple of stride to the power of 4");
  expect_error("[reorg3d]\nstride=0", "test.cfg:2: [reorg3d] stride must be between 1 and 1024, not 0");
}

}  // namespace
}  // namespace osprey
