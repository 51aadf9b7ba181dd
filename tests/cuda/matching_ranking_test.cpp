#include "cuda/matching_ranking.h"

#include "tests/cuda/kernel_test.h"
#include "tests/cuda/matching_boxes.h"

namespace osprey::test {
namespace {

struct Matched {
  std::vector<int> match, chosen;
  std::vector<float> overlap;
};

Matched matched(Device device, const BoxLists& truths, View<const Box> anchors, const BoxLists& regions,
                int k, RankingRule rule) {
  const int images = truths.boxes.shape.n, count = anchors.shape.c;
  Matched m;
  m.match.assign(images * count, 77);  // all of these must be overwritten
  m.overlap.assign(images * count, 77);
  m.chosen.assign(images * truths.capacity() * k, 77);
  Stream s{device};
  on(s, cpu::ranking_matching, cuda::ranking_matching)(
      s, anchors, truths, regions, rule, view(m.chosen, {images, 1, truths.capacity(), k}),
      view(m.match, {images, 1, 1, count}), view(m.overlap, {images, 1, 1, count}));
  return m;
}

// Anchors of 8 by 8 along a line, and a truth of that size: by DotD, only how far they are counts.
class Ranked : public testing::TestWithParam<Device> {
 protected:
  Matched with(int k) { return matched(GetParam(), truths.lists, same_for_all_images(anchors), {}, k, rule); }
  RankingRule rule = {{Similarity::dotd, 8, 0}, .4f, 1};
  std::vector<Box> anchors = {{0, 0, 8, 8}, {4, 0, 12, 8}, {8, 0, 16, 8}, {20, 0, 28, 8}, {200, 0, 208, 8}};
  OwnBoxLists truths{{{{4, 0, 12, 8}}}, 2};
};
INSTANTIATE_TEST_SUITE_P(RankingMatching, Ranked, testing::Values(Device::cpu, Device::cuda));

// exp(-4/8) = .61 is not background, exp(-16/8) is.
TEST_P(Ranked, TheOthersAreBackgroundOrIgnored) {
  const Matched m = with(1);
  EXPECT_EQ(m.match, (std::vector<int>{kIgnored, 0, kIgnored, kBackground, kBackground}));
  EXPECT_EQ(m.chosen, (std::vector<int>{1, -1}));
  EXPECT_FLOAT_EQ(m.overlap[0], std::exp(-.5f));
  EXPECT_EQ(m.overlap[1], 1);
}
TEST_P(Ranked, AllThatTieWithTheLastAreTaken) {
  const Matched m = with(2);
  EXPECT_EQ(m.chosen, (std::vector<int>{1, 0, -1, -1}));
  EXPECT_EQ(m.match, (std::vector<int>{0, 0, 0, kBackground, kBackground}));
}
TEST_P(Ranked, WhateverTheThreshold) {
  EXPECT_EQ(with(4).match, (std::vector<int>{0, 0, 0, 0, kBackground}));
}
TEST_P(Ranked, FewerAnchorsThanAreAskedFor) {
  anchors.resize(2);
  const Matched m = with(3);
  EXPECT_EQ(m.chosen, (std::vector<int>{1, 0, -1, -1, -1, -1}));
  EXPECT_EQ(m.match, (std::vector<int>{0, 0}));
}

// Each truth takes the one it resembles most; the second resembles both as much.
TEST(RankingMatching, TheLastTruthTakesWhatSeveralWant) {
  const std::vector<Box> anchors = {{0, 0, 8, 8}, {2, 0, 10, 8}, {40, 0, 48, 8}};
  const OwnBoxLists truths({{{0, 0, 8, 8}, {1, 0, 9, 8}}}, 2), none({{}}, 1);
  const RankingRule rule = {{Similarity::nwd, 8, 0}, .3f, 1}, nothing_alike = {{Similarity::nwd, 8, 0}, 0, 1};
  for (const Device device : {Device::cpu, Device::cuda}) {
    EXPECT_EQ(matched(device, truths.lists, same_for_all_images(anchors), {}, 1, rule).match,
              (std::vector<int>{1, 1, kBackground}));
    const Matched m = matched(device, none.lists, same_for_all_images(anchors), {}, 1, nothing_alike);
    EXPECT_EQ(m.match, (std::vector<int>(3, kBackground)));
    EXPECT_EQ(m.overlap, (std::vector<float>(3, 0)));
  }
}

TEST(RankingMatching, AnchorsInRegionsAreNeverTaken) {
  const std::vector<Box> anchors = {{0, 0, 8, 8}, {6, 0, 14, 8}};
  const OwnBoxLists truths({{{0, 0, 8, 8}}}, 1), one({{{0, 0, 8, 8}}}, 1), all({{{0, 0, 64, 64}}}, 1);
  const RankingRule rule = {{Similarity::iou, 8, 0}, .3f, .5f};
  for (const Device device : {Device::cpu, Device::cuda}) {
    const Matched m = matched(device, truths.lists, same_for_all_images(anchors), one.lists, 2, rule);
    EXPECT_EQ(m.match, (std::vector<int>{kIgnored, 0}));
    EXPECT_EQ(m.chosen, (std::vector<int>{1, -1}));
    EXPECT_EQ(m.overlap, (std::vector<float>{-1, 1.f / 7}));
    const Matched nothing = matched(device, truths.lists, same_for_all_images(anchors), all.lists, 2, rule);
    EXPECT_EQ(nothing.match, (std::vector<int>(2, kIgnored)));
    EXPECT_EQ(nothing.chosen, (std::vector<int>{-1, -1}));
  }
}

// The same formula in the same order: equal to the last bit.
TEST(RankingMatching, TheGpuAgreesWithTheCpu) {
  // Fewer anchors than threads, more than two blocks of them, a single one; more truths than there is room
  // for.
  for (const int count : {1, 100, 300}) {
    const OwnBoxLists truths({coarse_boxes(7, 1), {}, coarse_boxes(3, 2)}, 5);
    const OwnBoxLists regions({coarse_boxes(2, 3), coarse_boxes(1, 4), {}}, 2);
    const std::vector<Box> anchors = coarse_boxes(3 * count, 5);
    const View<const Box> of_each_image = {anchors.data(), {3, 1, 1, count}};
    const View<const Box> shared = {anchors.data(), {1, 1, 1, count}};
    for (const Similarity by : {Similarity::iou, Similarity::nwd})
      for (const View<const Box>& some : {shared, of_each_image}) {
        const RankingRule rule = {{by, 12, 1e-6f}, .3f, .6f};
        const Matched want = matched(Device::cpu, truths.lists, some, regions.lists, 3, rule);
        in_all_orders([&] {
          const Matched got = matched(Device::cuda, truths.lists, some, regions.lists, 3, rule);
          EXPECT_EQ(got.match, want.match) << count;
          EXPECT_EQ(got.overlap, want.overlap) << count;
          EXPECT_EQ(got.chosen, want.chosen) << count;
        });
      }
  }
}

}  // namespace
}  // namespace osprey::test
