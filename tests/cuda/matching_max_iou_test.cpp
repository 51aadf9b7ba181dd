#include "cuda/matching_max_iou.h"

#include "tests/cuda/kernel_test.h"
#include "tests/cuda/matching_boxes.h"

namespace osprey::test {
namespace {

struct Matched {
  std::vector<int> match;
  std::vector<float> overlap, best;
};

Matched matched(Device device, const BoxLists& truths, View<const Box> anchors, const BoxLists& regions,
                MaxIouRule rule) {
  const int images = truths.boxes.shape.n, count = anchors.shape.c;
  Matched m;
  m.match.assign(images * count, 77);  // all of these must be overwritten
  m.overlap.assign(images * count, 77);
  m.best.assign(images * truths.capacity(), 77);
  Stream s{device};
  on(s, cpu::max_iou_matching, cuda::max_iou_matching)(
      s, anchors, truths, regions, rule, view(m.best, {images, 1, 1, truths.capacity()}),
      view(m.match, {images, 1, 1, count}), view(m.overlap, {images, 1, 1, count}));
  return m;
}

// Along a line of height 8: the second truth's best overlap, 1/4 with anchors 2 and 3, is below every
// threshold.
class Drawn : public testing::TestWithParam<Device> {
 protected:
  std::vector<int> with(MaxIouRule rule) {
    rule.foreground = .5f;
    rule.background = .2f;
    return matched(GetParam(), truths.lists, same_for_all_images(anchors), {}, rule).match;
  }
  const std::vector<Box> anchors = {
      {0, 0, 8, 8}, {4, 0, 12, 8}, {16, 0, 24, 8}, {40, 0, 48, 8}, {56, 0, 64, 8}};
  const OwnBoxLists truths{{{{2, 0, 8, 8}, {16, 0, 48, 8}}}, 3};
};
INSTANTIATE_TEST_SUITE_P(MaxIouMatching, Drawn, testing::Values(Device::cpu, Device::cuda));

TEST_P(Drawn, Thresholds) {
  EXPECT_EQ(with({}), (std::vector<int>{0, kIgnored, kIgnored, kIgnored, kBackground}));
}
TEST_P(Drawn, LowQualityMatchesAllThatTie) {
  MaxIouRule rule;
  rule.low_quality = LowQuality::own_truth;
  EXPECT_EQ(with(rule), (std::vector<int>{0, kIgnored, 1, 1, kBackground}));
  rule.low_quality = LowQuality::their_truth;
  rule.least = .25f;
  EXPECT_EQ(with(rule), (std::vector<int>{0, kIgnored, 1, 1, kBackground}));
  rule.least = .26f;
  EXPECT_EQ(with(rule), (std::vector<int>{0, kIgnored, kIgnored, kIgnored, kBackground}));
}

// The first truth's best anchor overlaps the second more: own or their truth makes the difference. A truth
// that overlaps nothing ties with every anchor at 0.
TEST(MaxIouMatching, OwnTruthOrTheirs) {
  const std::vector<Box> anchors = {{0, 0, 8, 8}, {32, 0, 40, 8}};
  const OwnBoxLists truths({{{0, 0, 8, 2}, {0, 0, 8, 8}, {50, 50, 60, 60}}}, 3);
  MaxIouRule rule;
  for (const Device device : {Device::cpu, Device::cuda}) {
    const auto match = [&] {
      return matched(device, truths.lists, same_for_all_images(anchors), {}, rule).match;
    };
    rule.low_quality = LowQuality::own_truth;
    EXPECT_EQ(match(), (std::vector<int>{1, 0}));  // all overlaps of the second are 0: its own is the first
    rule.low_quality = LowQuality::their_truth;
    rule.least = .1f;
    EXPECT_EQ(match(), (std::vector<int>{1, kBackground}));
    rule.least = .0f;
    EXPECT_EQ(match(), (std::vector<int>{2, 2}));  // the last truth ties with both, at 0
  }
}

TEST(MaxIouMatching, OfEqualOverlapsTheFirstTruthCounts) {
  const std::vector<Box> anchors = {{0, 0, 8, 8}};
  const OwnBoxLists truths({{{0, 0, 8, 4}, {0, 0, 8, 8}, {0, 0, 8, 8}, {0, 0, 8, 8}}}, 4);
  for (const Device device : {Device::cpu, Device::cuda})
    EXPECT_EQ(matched(device, truths.lists, same_for_all_images(anchors), {}, {}).match, std::vector<int>{1});
}

TEST(MaxIouMatching, AnchorsInRegionsAreIgnored) {
  const std::vector<Box> anchors = {{0, 0, 8, 8}, {4, 0, 12, 8}, {6, 0, 14, 8}, {5, 0, 13, 8}};
  const OwnBoxLists none({{}}, 2), truths({{{0, 0, 8, 8}}}, 2), regions({{{0, 0, 8, 8}, {0, 0, 9, 8}}}, 2);
  MaxIouRule rule;
  rule.covered = .375f;  // more, not as much
  rule.low_quality = LowQuality::own_truth;
  for (const Device device : {Device::cpu, Device::cuda}) {
    const Matched m = matched(device, truths.lists, same_for_all_images(anchors), regions.lists, rule);
    EXPECT_EQ(m.match, (std::vector<int>{kIgnored, kIgnored, 0, kIgnored}));  // 0 is the best that is left
    EXPECT_EQ(m.overlap, (std::vector<float>{-1, -1, 1.f / 7, -1}));
    EXPECT_EQ(matched(device, none.lists, same_for_all_images(anchors), regions.lists, rule).match,
              (std::vector<int>{kIgnored, kIgnored, kBackground, kIgnored}));
  }
}

// Boxes of 8 pixels that are 6 off: of IoU 1/7, but of a similarity of exp(-6 / C).
TEST(MaxIouMatching, WithAMeasureForTinyObjects) {
  const std::vector<Box> anchors = {{6, 0, 14, 8}, {6, -4, 14, 12}, {80, 0, 88, 8}};
  const OwnBoxLists truths({{{0, 0, 8, 8}}}, 1);
  MaxIouRule rule;
  for (const Device device : {Device::cpu, Device::cuda}) {
    const auto overlap = [&](Similarity by) {
      rule.similarity = {by, 12, 0};
      return matched(device, truths.lists, same_for_all_images(anchors), {}, rule).overlap;
    };
    EXPECT_FLOAT_EQ(overlap(Similarity::iou)[0], 1.f / 7);
    EXPECT_FLOAT_EQ(overlap(Similarity::nwd)[0], std::exp(-.5f));
    EXPECT_FLOAT_EQ(overlap(Similarity::dotd)[1], std::exp(-.5f));  // the sizes do not count
    EXPECT_FLOAT_EQ(overlap(Similarity::nwd)[1], std::exp(-std::sqrt(52.f) / 12));
    rule.foreground = .6f;
    rule.similarity = {Similarity::nwd, 12, 0};
    EXPECT_EQ(matched(device, truths.lists, same_for_all_images(anchors), {}, rule).match,
              (std::vector<int>{0, kIgnored, kBackground}));
  }
}

// The same formula in the same order: equal to the last bit.
TEST(MaxIouMatching, TheGpuAgreesWithTheCpu) {
  // Fewer anchors than threads, more than two blocks of them, a single one; more truths than there is room
  // for.
  for (const int count : {1, 100, 300}) {
    const OwnBoxLists truths({coarse_boxes(7, 1), {}, coarse_boxes(3, 2)}, 5);
    const OwnBoxLists regions({coarse_boxes(2, 3), coarse_boxes(1, 4), {}}, 2);
    const std::vector<Box> anchors = coarse_boxes(3 * count, 5);
    const View<const Box> of_each_image = {anchors.data(), {3, 1, 1, count}};
    const View<const Box> shared = {anchors.data(), {1, 1, 1, count}};
    for (const LowQuality low : {LowQuality::none, LowQuality::own_truth, LowQuality::their_truth})
      for (const View<const Box>& some : {shared, of_each_image}) {
        // Another measure where there are anchors for each image.
        const Similarity by = some.shape.n == 1 ? Similarity::iou : Similarity::nwd;
        const MaxIouRule rule = {.5f, .25f, low, .3f, .6f, {by, 12.8f, 1e-6f}};
        const Matched want = matched(Device::cpu, truths.lists, some, regions.lists, rule);
        in_all_orders([&] {
          const Matched got = matched(Device::cuda, truths.lists, some, regions.lists, rule);
          EXPECT_EQ(got.match, want.match) << count;
          EXPECT_EQ(got.overlap, want.overlap) << count;
          EXPECT_EQ(got.best, want.best) << count;
        });
      }
  }
}

}  // namespace
}  // namespace osprey::test
