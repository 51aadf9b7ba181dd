// Shapes of anchors, and which anchors an image has.
#include "core/anchors.h"

#include <gtest/gtest.h>

#include "core/error.h"

namespace osprey {
namespace {

TEST(Anchors, OrderSaysWhatChangesSlower) {
  AnchorShapes shapes = {{10, 20}, {1, 4}};
  const auto widths = [&] {
    std::vector<float> all;
    for (const Box& b : cell_anchors(shapes)) all.push_back(b.width());
    return all;
  };
  EXPECT_EQ(widths(), (std::vector<float>{10, 20, 5, 10}));
  shapes.order = AnchorShapes::Order::sizes_first;
  EXPECT_EQ(widths(), (std::vector<float>{10, 5, 20, 10}));
  EXPECT_EQ(cell_anchors(shapes)[1].height(), 20);
}

TEST(Anchors, RoundHalvesToEvenPixels) {
  const Box b = cell_anchors({{645}, {1}, {}, AnchorShapes::Rounding::corners})[0];
  EXPECT_EQ(b.x1, -322);
  EXPECT_EQ(b.y2, 322);
  EXPECT_EQ(octave_sizes(32, 3, true), (std::vector<float>{32, 40, 50}));
}

TEST(Anchors, RefuseShapesWithoutAnArea) {
  EXPECT_THROW(cell_anchors({{}, {1}}), Error);
  EXPECT_THROW(cell_anchors({{8, 0}, {1}}), Error);
  EXPECT_THROW(cell_anchors({{8}, {-1}}), Error);
  EXPECT_THROW(default_boxes(30, 0, {2}), Error);
}

TEST(Anchors, DefaultBoxesAreCutAtTheImage) {
  const std::vector<Box> boxes = default_boxes(100, 144, {4}, 150);
  ASSERT_EQ(boxes.size(), 4u);
  EXPECT_FLOAT_EQ(boxes[1].width(), 120);
  EXPECT_EQ(boxes[2].width(), 150);
  EXPECT_EQ(boxes[2].height(), 50);
  EXPECT_EQ(boxes[3].height(), 150);
}

// 35 pixels are two whole cells of 16 and a part of a third.
TEST(Anchors, CellsBeginWithinTheImageOrNot) {
  const AnchorGrid grid = {4, 4, 16, 16, 0};
  EXPECT_TRUE(grid.begins_within(2, 1, 32, 35));
  EXPECT_FALSE(grid.begins_within(3, 1, 32, 35));
  EXPECT_FALSE(grid.begins_within(2, 2, 32, 35));
  EXPECT_TRUE(is_inside({0, 0, 32, 35}, 32, 35));
  EXPECT_FALSE(is_inside({-1, 0, 32, 35}, 32, 35));
  EXPECT_TRUE(is_inside({-1, 0, 32, 36}, 32, 35, 1));
}

}  // namespace
}  // namespace osprey
