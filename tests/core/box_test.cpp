// The IoU family on boxes drawn on squared paper.
#include "core/box.h"

#include <gtest/gtest.h>

namespace osprey {
namespace {

constexpr Box kA = {0, 0, 4, 2}, kB = {2, 1, 6, 3}, kFar = {8, 0, 10, 2};

TEST(Box, CentresAndCornersAreEachOthersInverse) {
  const CentreBox c = centre(kB);
  EXPECT_EQ(c.x, 4);
  EXPECT_EQ(c.y, 2);
  EXPECT_EQ(c.w, 4);
  EXPECT_EQ(c.h, 2);
  const Box b = corners(c);
  EXPECT_EQ(b.x1, kB.x1);
  EXPECT_EQ(b.y2, kB.y2);
}

TEST(Box, OverlapIsCountedInSquares) {
  EXPECT_EQ(area(kA), 8);
  EXPECT_EQ(intersection(kA, kB), 2);
  EXPECT_FLOAT_EQ(iou(kA, kB), 2.0f / 14);
  EXPECT_EQ(iou(kA, kA), 1);
  EXPECT_EQ(iou(kA, kFar), 0);
  EXPECT_EQ(iou(kA, {4, 0, 5, 2}), 0);            // touching is no overlap
  EXPECT_EQ(iou({1, 1, 1, 1}, {1, 1, 1, 1}), 0);  // nothing over nothing
  EXPECT_EQ(coverage(kA, kB), 0.25f);
  EXPECT_EQ(coverage({0, 0, 0, 0}, kB), 0);
}

TEST(Box, FromInclusiveCornersCountsTheLastPixel) {
  EXPECT_EQ(area(from_inclusive({3, 3, 3, 3})), 1);
  EXPECT_EQ(area(from_inclusive({0, 0, 9, 4})), 50);
}

// The enclosing box of kA and kB is 6x3 = 18, their union 14.
TEST(Box, GiouTellsApartBoxesThatDoNotTouch) {
  EXPECT_FLOAT_EQ(giou(kA, kB), 2.0f / 14 - 4.0f / 18);
  EXPECT_FLOAT_EQ(giou(kA, kFar), -(20.0f - 12) / 20);
  EXPECT_EQ(giou(kA, kA), 1);
  EXPECT_LT(giou(kA, {80, 0, 82, 2}), giou(kA, kFar));
  EXPECT_EQ(giou({1, 1, 1, 1}, {1, 1, 1, 1}), 0);
}

// Centres (2,1) and (4,2): 5; diagonal 36 + 9 = 45.
TEST(Box, DiouAndCiouAddDistanceAndAspect) {
  EXPECT_FLOAT_EQ(diou(kA, kB), 2.0f / 14 - 5.0f / 45);
  EXPECT_FLOAT_EQ(ciou(kA, kB), diou(kA, kB));  // of one aspect
  EXPECT_EQ(ciou(kA, kA), 1);
  const Box upright = {1, -1, 3, 3};  // kA turned about its centre
  const double angle = std::atan(2.0) - std::atan(0.5), v = 4 / (M_PI * M_PI) * angle * angle, i = 4.0 / 12;
  EXPECT_NEAR(aspect_distance(kA, upright), v, 1e-6);
  EXPECT_NEAR(ciou(kA, upright), i - v * v / (1 - i + v), 1e-6);
}

}  // namespace
}  // namespace osprey
