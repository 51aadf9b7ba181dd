#include "cuda/matching_ssd.h"

#include "tests/cuda/kernel_test.h"
#include "tests/cuda/matching_boxes.h"

namespace osprey::test {
namespace {

struct Matched {
  std::vector<int> match, chosen;
};

Matched matched(Device device, const BoxLists& truths, View<const Box> anchors, float threshold,
                SsdMatching kind = SsdMatching::each) {
  const int images = truths.boxes.shape.n, count = anchors.shape.c;
  Matched m;
  m.match.assign(images * count, 77);  // all of these must be overwritten
  m.chosen.assign(images * truths.capacity(), 77);
  Stream s{device};
  on(s, cpu::ssd_matching, cuda::ssd_matching)(s, anchors, truths, threshold,
                                               view(m.chosen, {images, 1, 1, truths.capacity()}),
                                               view(m.match, {images, 1, 1, count}), kind);
  return m;
}

TEST(SsdMatching, EachTruthTakesAnAnchor) {
  const std::vector<Box> anchors = {
      {40, 0, 48, 8}, {0, 0, 8, 8}, {4, 0, 12, 8}, {16, 0, 24, 8}, {16, 0, 24, 8}};
  // One above the threshold with anchors 1 and, just, 2; one below it, tied; one that overlaps nothing.
  const OwnBoxLists truths({{{0, 0, 8, 8}, {16, 0, 24, 2}, {56, 56, 64, 64}}}, 4);
  for (const Device device : {Device::cpu, Device::cuda}) {
    const Matched m = matched(device, truths.lists, same_for_all_images(anchors), 1.f / 3);
    EXPECT_EQ(m.chosen, (std::vector<int>{1, 3, 0, -1}));
    EXPECT_EQ(m.match, (std::vector<int>{2, 0, 0, 1, kBackground}));
  }
}

TEST(SsdMatching, TheLastOfSeveralTruthsGetsTheAnchor) {
  const std::vector<Box> anchors = {{0, 0, 8, 8}, {32, 0, 40, 8}};
  const OwnBoxLists truths({{{0, 0, 8, 4}, {0, 0, 8, 2}}}, 2);
  for (const Device device : {Device::cpu, Device::cuda}) {
    const Matched m = matched(device, truths.lists, same_for_all_images(anchors), .5f);
    EXPECT_EQ(m.chosen, (std::vector<int>{0, 0}));
    EXPECT_EQ(m.match, (std::vector<int>{1, kBackground}));  // though it overlaps the first truth more
  }
}

// The same two truths and one more: the best pair first, then what is left; the third overlaps nothing.
TEST(SsdMatching, InPairsEachAnchorHasOneTruth) {
  const std::vector<Box> anchors = {{0, 0, 8, 8}, {4, 0, 12, 8}, {32, 0, 40, 8}, {0, 0, 8, 8}};
  const OwnBoxLists truths({{{0, 0, 8, 2}, {0, 0, 8, 7}, {56, 56, 64, 64}, {0, 0, 8, 7}}}, 5);
  for (const Device device : {Device::cpu, Device::cuda}) {
    const Matched m = matched(device, truths.lists, same_for_all_images(anchors), .9f, SsdMatching::pairs);
    // The second takes the first of two equal anchors, the fourth the other one, the first what is left.
    EXPECT_EQ(m.chosen, (std::vector<int>{1, 0, -1, 3, -1}));
    EXPECT_EQ(m.match, (std::vector<int>{1, 0, kBackground, 3}));
  }
}

TEST(SsdMatching, InPairsTheRestIsMatchedByTheThreshold) {
  const std::vector<Box> anchors = {{0, 0, 8, 8}, {0, 0, 8, 6}, {4, 0, 12, 8}};
  const OwnBoxLists truths({{{0, 0, 8, 8}}}, 1);
  for (const Device device : {Device::cpu, Device::cuda}) {
    const Matched m = matched(device, truths.lists, same_for_all_images(anchors), .75f, SsdMatching::pairs);
    EXPECT_EQ(m.match, (std::vector<int>{0, 0, kBackground}));
  }
}

// The same formula in the same order: equal.
TEST(SsdMatching, TheGpuAgreesWithTheCpu) {
  // Fewer anchors than threads, more than two blocks of them, a single one; more truths than there is room
  // for.
  for (const int count : {1, 100, 300}) {
    const OwnBoxLists truths({coarse_boxes(7, 1), {}, coarse_boxes(3, 2)}, 5);
    const std::vector<Box> anchors = coarse_boxes(3 * count, 5);
    const View<const Box> of_each_image = {anchors.data(), {3, 1, 1, count}};
    const View<const Box> shared = {anchors.data(), {1, 1, 1, count}};
    for (const View<const Box>& some : {shared, of_each_image})
      for (const SsdMatching kind : {SsdMatching::each, SsdMatching::pairs}) {
        const Matched want = matched(Device::cpu, truths.lists, some, .25f, kind);
        in_all_orders([&] {
          const Matched got = matched(Device::cuda, truths.lists, some, .25f, kind);
          EXPECT_EQ(got.match, want.match) << count;
          EXPECT_EQ(got.chosen, want.chosen) << count;
        });
      }
  }
}

}  // namespace
}  // namespace osprey::test
