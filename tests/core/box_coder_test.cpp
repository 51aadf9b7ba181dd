// Coders: drawn examples, that decoding undoes encoding, and slopes against differences of the definitions.
#include "core/box_coder.h"

#include <gtest/gtest.h>

#include "tests/core/numerical_slopes.h"

namespace osprey {
namespace {

using test::Corners;

constexpr Box kAnchor = {10, 20, 30, 60};  // 20x40 about (20,40)

Corners exact(Deltas d) { return {d.x, d.y, d.w, d.h}; }

TEST(BoxCoder, DeltasAreInUnitsOfTheAnchor) {
  const Box target = {20, 20, 60, 40};  // 40x20 about (40,30)
  const Deltas d = BoxCoder{}.encode(target, kAnchor), weighted = BoxCoder{10, 5}.encode(target, kAnchor);
  EXPECT_FLOAT_EQ(d.x, 1);
  EXPECT_FLOAT_EQ(d.y, -0.25f);
  EXPECT_FLOAT_EQ(d.w, std::log(2.0f));
  EXPECT_FLOAT_EQ(d.h, -std::log(2.0f));
  EXPECT_FLOAT_EQ(weighted.y, -2.5f);
  EXPECT_FLOAT_EQ(weighted.w, 5 * std::log(2.0f));
}

TEST(BoxCoder, BoundsTheSizes) {
  const BoxCoder above, both = {1, 1, -kMaxLogRatio, kMaxLogRatio};
  EXPECT_NEAR(above.decode({0, 0, 100, 0}, kAnchor).width(), 20 * 1000 / 16.0, 1e-2);
  EXPECT_NEAR(above.decode({0, 0, -100, 0}, kAnchor).width(), 0, 1e-6);
  EXPECT_NEAR(both.decode({0, 0, 0, -100}, kAnchor).height(), 40 * 16 / 1000.0, 1e-4);
  EXPECT_TRUE(std::isnan(above.decode({0, 0, NAN, 0}, kAnchor).width()));
}

// A float of about 50 in the corners errs by 4e-6, and so do the sizes.
TEST(BoxCoder, DecodingUndoesEncoding) {
  const BoxCoder coder = {10, 5};
  const YoloCoder yolo = {128}, wide = {128, 1.2f}, squared = {128, 2, true};
  for (const auto& [target, anchor] : test::pairs_of_boxes(40, 2)) {
    const Corners want = test::exact(target);
    const Corners got[] = {test::exact(coder.decode(coder.encode(target, anchor), anchor)),
                           test::exact(yolo.decode(yolo.encode(target, anchor), anchor)),
                           test::exact(wide.decode(wide.encode(target, anchor), anchor))};
    for (const Corners& box : got)
      for (size_t i = 0; i < 4; ++i) EXPECT_NEAR(box[i], want[i], 1e-4);
    const Deltas s = squared.encode(target, anchor);  // up to 4 times the anchor
    if (s.w < 0.99f) {
      EXPECT_NEAR(squared.decode(s, anchor).width(), target.width(), 1e-4);
    }
    if (s.h < 0.99f) {
      EXPECT_NEAR(squared.decode(s, anchor).height(), target.height(), 1e-4);
    }
  }
}

// The corners that a definition gives, each times its part in the loss.
template <class Centre, class Size>
double loss(const Corners& p, const Box& anchor, const Corners& gradient, Centre&& centre, Size&& size) {
  const double aw = anchor.width(), ah = anchor.height();
  const double x = (anchor.x1 + anchor.x2) / 2.0 + centre(p[0], aw), w = aw * size(p[2]);
  const double y = (anchor.y1 + anchor.y2) / 2.0 + centre(p[1], ah), h = ah * size(p[3]);
  return gradient[0] * (x - w / 2) + gradient[1] * (y - h / 2) + gradient[2] * (x + w / 2) +
         gradient[3] * (y + h / 2);
}

constexpr Box kGradient = {0.5f, -1.25f, 2, 0.75f};

void expect_slopes(const Corners& got, const Corners& want) {
  for (size_t i = 0; i < 4; ++i)
    EXPECT_NEAR(got[i], want[i], 1e-5 * (1 + std::abs(want[i]))) << "delta " << i;
}

// Some sizes beyond the bounds, where nothing changes.
TEST(BoxCoder, SlopesAreThoseOfTheDefinition) {
  const BoxCoder coder = {10, 5, -2, 2};
  for (uint64_t i = 0; i < 40; ++i) {
    Random random(3, Purpose::test, 0, i);
    const Deltas d = {random.uniform(-9, 9), random.uniform(-9, 9), random.uniform(-12, 12),
                      random.uniform(-12, 12)};
    const auto centre = [](double v, double size) { return v / 10 * size; };
    const auto size = [](double v) { return std::exp(std::min(2.0, std::max(-2.0, v / 5))); };
    expect_slopes(
        exact(coder.decode_backward(d, kAnchor, kGradient)),
        test::numerical_slopes(
            [&](const Corners& p) { return loss(p, kAnchor, test::exact(kGradient), centre, size); },
            exact(d)));
  }
}

TEST(YoloCoder, SlopesAreThoseOfTheDefinition) {
  for (const bool squared : {false, true}) {
    const double scale = squared ? 2 : 1.2;
    const YoloCoder coder = {16, float(scale), squared};
    for (uint64_t i = 0; i < 40; ++i) {
      Random random(4, Purpose::test, 0, i);
      const Deltas p = {random.uniform(), random.uniform(), random.uniform(), random.uniform()};
      const auto centre = [&](double v, double) { return scale * (v - 0.5) * 16; };
      const auto size = [&](double v) { return squared ? 4 * v * v : std::exp(v); };
      expect_slopes(
          exact(coder.decode_backward(p, kAnchor, kGradient)),
          test::numerical_slopes(
              [&](const Corners& at) { return loss(at, kAnchor, test::exact(kGradient), centre, size); },
              exact(p)));
    }
  }
}

// Cell (2, 1) of stride 16 has its centre at (40, 24).
TEST(YoloCoder, PlacesTheCentreInItsCell) {
  const Box anchor = {30, 14, 50, 34};
  const CentreBox v3 = centre(YoloCoder{16}.decode({0.25f, 1, 0, std::log(2.0f)}, anchor));
  EXPECT_FLOAT_EQ(v3.x, 36);
  EXPECT_FLOAT_EQ(v3.y, 32);
  EXPECT_FLOAT_EQ(v3.w, 20);
  EXPECT_FLOAT_EQ(v3.h, 40);
  const CentreBox v5 = centre(YoloCoder{16, 2, true}.decode({0.25f, 1, 0.5f, 1}, anchor));
  EXPECT_FLOAT_EQ(v5.x, 32);  // 2 * 0.25 - 0.5 is the cell's left edge
  EXPECT_FLOAT_EQ(v5.y, 40);
  EXPECT_FLOAT_EQ(v5.w, 20);
  EXPECT_FLOAT_EQ(v5.h, 80);
}

TEST(Clip, MovesCornersInAndTheirGradientsOut) {
  const Box outside = {-3, 2, 120, 70}, clip = clipped(outside, 100, 50);
  EXPECT_EQ(clip.x1, 0);
  EXPECT_EQ(clip.y1, 2);
  EXPECT_EQ(clip.x2, 100);
  EXPECT_EQ(clip.y2, 50);
  const Box gradient = clipped_backward(outside, 100, 70, {1, 2, 3, 4});
  EXPECT_EQ(gradient.x1, 0);
  EXPECT_EQ(gradient.y1, 2);
  EXPECT_EQ(gradient.x2, 0);
  EXPECT_EQ(gradient.y2, 4);  // on the edge: not moved
}

}  // namespace
}  // namespace osprey
