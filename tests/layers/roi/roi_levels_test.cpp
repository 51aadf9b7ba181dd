#include "cuda/roi_levels.h"

#include "tests/layers/roi/rois.h"

namespace osprey::test {
namespace {

TEST(RoiLevels, HalfTheSizeIsOneLevelFiner) {
  const auto level = [](float side) { return roi_level({10, 20, 10 + side, 20 + side}, {}); };
  EXPECT_EQ(level(0), 0);
  EXPECT_EQ(level(1), 0);
  EXPECT_EQ(level(111.9f), 0);
  EXPECT_EQ(level(112), 1);
  EXPECT_EQ(level(223.9f), 1);
  EXPECT_EQ(level(224), 2);
  EXPECT_EQ(level(448), 3);
  EXPECT_EQ(level(5000), 3);
  EXPECT_EQ(roi_level({0, 0, 112, 448}, {}), 2);               // by area: the side is 224
  EXPECT_EQ(roi_level({5, 5, 0, 9}, {}), 0);                   // inside out
  EXPECT_EQ(roi_level({0, 0, 64, 64}, {3, 7, 4, 64}), 4 - 3);  // other rules
  EXPECT_EQ(roi_level({0, 0, 9999, 9999}, {3, 7, 4, 64}), 7 - 3);
}

TEST(RoiLevels, ScalesArePowersOfTwo) {
  EXPECT_EQ(map_scale(200, 800), 1 / 4.0f);
  EXPECT_EQ(map_scale(267, 1066), 1 / 4.0f);
  EXPECT_EQ(map_scale(34, 1066), 1 / 32.0f);
}

// The same formula: equal.
TEST(RoiLevels, EveryPlaceGetsItsLevel) {
  Stream s;
  const OwnRois own({3, 0, 400}, 300, 900, 700, false, 1);  // a count beyond the places, as lists may have
  std::vector<int> want;
  for (int i = 0; i < 900; ++i) {
    const bool filled = i % 300 < own.counts[i / 300];
    want.push_back(filled ? roi_level(own.boxes[i], {}) : -1);
  }
  std::vector<int> levels(900, 99);
  cpu::roi_levels(s, own.rois, view(levels, {3, 1, 1, 300}), {});
  EXPECT_EQ(levels, want);
  in_all_orders([&] {
    levels.assign(900, 99);
    cuda::roi_levels(s, own.rois, view(levels, {3, 1, 1, 300}), {});
    EXPECT_EQ(levels, want);
  });
}

}  // namespace
}  // namespace osprey::test
