#include "cuda/matching_atss.h"

#include "tests/cuda/kernel_test.h"
#include "tests/cuda/matching_boxes.h"

namespace osprey::test {
namespace {

struct Matched {
  std::vector<int> match, candidates;
  std::vector<float> overlap, threshold;
};

Matched matched(Device device, const BoxLists& truths, View<const Box> anchors, const AnchorLevels& levels,
                int k, AtssRule rule) {
  const int images = truths.boxes.shape.n, count = anchors.shape.c;
  Matched m;
  m.match.assign(images * count, 77);  // all of these must be overwritten
  m.overlap.assign(images * count, 77);
  m.candidates.assign(images * truths.capacity() * levels.count * k, 77);  // those of truths that are there
  m.threshold.assign(images * truths.capacity(), 77);
  Stream s{device};
  on(s, cpu::atss_matching, cuda::atss_matching)(
      s, anchors, levels, truths, rule, view(m.candidates, {images, truths.capacity(), levels.count, k}),
      view(m.threshold, {images, 1, 1, truths.capacity()}), view(m.match, {images, 1, 1, count}),
      view(m.overlap, {images, 1, 1, count}));
  return m;
}

AnchorLevels levels_of(const std::vector<int>& counts) {
  AnchorLevels levels;
  for (int count : counts) levels.add(count);
  return levels;
}

class AtssMatching : public testing::TestWithParam<Device> {
 protected:
  Matched with(const std::vector<Box>& anchors, const std::vector<int>& levels, std::vector<Box> truths,
               int k) {
    const OwnBoxLists lists({truths}, int(truths.size()));
    return matched(GetParam(), lists.lists, same_for_all_images(anchors), levels_of(levels), k, rule);
  }
  AtssRule rule;
};
INSTANTIATE_TEST_SUITE_P(Devices, AtssMatching, testing::Values(Device::cpu, Device::cuda));

// Of overlaps 1, 1/3, 0: mean 4/9, and squared distances from it of 25/81, 1/81, 16/81.
TEST_P(AtssMatching, TheThresholdIsMeanPlusDeviation) {
  const std::vector<Box> anchors = {{40, 0, 48, 8}, {8, 0, 16, 8}, {0, 0, 8, 8}, {4, 0, 12, 8}};
  const Matched m = with(anchors, {4}, {{0, 0, 8, 8}}, 3);
  EXPECT_EQ(m.candidates, (std::vector<int>{2, 3, 1}));
  EXPECT_FLOAT_EQ(m.threshold[0], 4.f / 9 + std::sqrt(42.f / 81 / 2));
  EXPECT_EQ(m.match, (std::vector<int>{kBackground, kBackground, 0, kBackground}));
  EXPECT_EQ(m.overlap, (std::vector<float>{-1, -1, 1, -1}));
}

// Three of each level, all of a level that has less, and the first of two that are as near.
TEST_P(AtssMatching, EachLevelGivesItsNearest) {
  const std::vector<Box> anchors = {{9, 0, 17, 8}, {0, 0, 8, 8},  {6, 0, 14, 8},  {2, 0, 10, 8},
                                    {5, 0, 13, 8}, {0, 0, 16, 8}, {16, 0, 32, 8}, {20, 0, 40, 8}};
  const Matched m = with(anchors, {5, 0, 1, 2}, {{4, 0, 12, 8}}, 3);
  EXPECT_EQ(m.candidates, (std::vector<int>{4, 2, 3, -1, -1, -1, 5, -1, -1, 6, 7, -1}));
}

TEST_P(AtssMatching, OverlapsThatAreAllEqualReachTheThreshold) {
  const std::vector<Box> anchors(3, {0, 0, 8, 9});
  EXPECT_EQ(with(anchors, {1, 1, 1}, {{0, 0, 8, 8}}, 9).match, (std::vector<int>{0, 0, 0}));
  EXPECT_EQ(with({{0, 0, 8, 9}}, {1}, {{0, 0, 8, 8}}, 9).match, (std::vector<int>{0}));
}

// The anchor's centre, (8, 4), is 2 from a side of the truth, whichever it is.
TEST_P(AtssMatching, CentresLieInside) {
  for (const Box truth : {Box{6, 0, 24, 8}, Box{0, 0, 10, 8}, Box{0, 2, 16, 16}, Box{0, 0, 16, 6}}) {
    rule.inside = 1.75f;
    EXPECT_EQ(with({{4, 0, 12, 8}}, {1}, {truth}, 1).match[0], 0);
    rule.inside = 2;
    EXPECT_EQ(with({{4, 0, 12, 8}}, {1}, {truth}, 1).match[0], kBackground);
  }
}

TEST_P(AtssMatching, TheTruthOfLargestOverlapWins) {
  const Box anchor = {0, 0, 8, 8};
  EXPECT_EQ(with({anchor}, {1}, {{0, 0, 8, 16}, {0, 0, 8, 10}, {0, 0, 12, 8}}, 1).match[0], 1);
  EXPECT_EQ(with({anchor}, {1}, {{0, 0, 8, 16}, {0, 0, 10, 8}, {0, 0, 8, 10}}, 1).match[0], 1);
}

// Pixels 0 to 7 and 3 to 10 have 5 of 11 in common.
TEST_P(AtssMatching, InclusiveBoxes) {
  rule.inclusive = true;
  EXPECT_EQ(with({{3, 0, 10, 7}}, {1}, {{0, 0, 7, 7}}, 1).overlap[0], 5.f / 11);
}

// The same formulas, and sums in double: equal.
TEST(AtssMatchingKernels, TheGpuAgreesWithTheCpu) {
  // A single anchor, fewer than threads, more than two blocks of them; more truths than there is room for; a
  // level without anchors and one with fewer than are asked for.
  for (const int count : {1, 100, 300}) {
    const OwnBoxLists truths({coarse_boxes(7, 1), {}, coarse_boxes(3, 2)}, 5);
    const AnchorLevels levels = levels_of({count / 3, 0, count / 50, count - count / 3 - count / 50});
    const std::vector<Box> anchors = coarse_boxes(3 * count, 5);
    const View<const Box> of_each_image = {anchors.data(), {3, 1, 1, count}};
    const View<const Box> shared = {anchors.data(), {1, 1, 1, count}};
    for (const bool inclusive : {false, true})
      for (const View<const Box>& some : {shared, of_each_image}) {
        const Matched want = matched(Device::cpu, truths.lists, some, levels, 9, {.01f, inclusive});
        in_all_orders([&] {
          const Matched got = matched(Device::cuda, truths.lists, some, levels, 9, {.01f, inclusive});
          EXPECT_EQ(got.candidates, want.candidates) << count;
          EXPECT_EQ(got.threshold, want.threshold) << count;
          EXPECT_EQ(got.match, want.match) << count;
          EXPECT_EQ(got.overlap, want.overlap) << count;
        });
      }
  }
}

}  // namespace
}  // namespace osprey::test
