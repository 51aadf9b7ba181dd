#include "cuda/matching_paa.h"

#include <limits>

#include "tests/cuda/kernel_test.h"
#include "tests/cuda/matching_boxes.h"

namespace osprey::test {
namespace {

struct Matched {
  std::vector<int> match, candidates, ends;
};

// For each image its truths' number, and what its anchors were first matched with.
Matched matched(Device device, const std::vector<int>& truths, std::vector<int> first, Values score,
                const std::vector<int>& anchors_of_levels, int k, MixtureRule rule = {}) {
  const int images = int(truths.size()), count = int(first.size()) / images, capacity = 3;
  std::vector<std::vector<Box>> boxes;
  for (int number : truths) boxes.emplace_back(number);
  const OwnBoxLists lists(boxes, capacity);
  AnchorLevels levels;
  for (int anchors : anchors_of_levels) levels.add(anchors);
  Matched m;
  m.match.assign(first.size(), 77);  // all of these must be overwritten
  m.candidates.assign(images * capacity * levels.count * k, 77);
  m.ends.assign(images * capacity, 77);
  Stream s{device};
  on(s, cpu::paa_matching, cuda::paa_matching)(
      s, view(first, {images, 1, 1, count}), constant(score, {images, 1, 1, count}), levels, lists.lists,
      rule, view(m.candidates, {images, capacity, levels.count, k}), view(m.ends, {images, 1, 1, capacity}),
      view(m.match, {images, 1, 1, count}));
  return m;
}

constexpr int kNone = kBackground;
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

class PaaMatching : public testing::TestWithParam<Device> {};
INSTANTIATE_TEST_SUITE_P(Devices, PaaMatching, testing::Values(Device::cpu, Device::cuda));

// Of the low group, around 1, those up to its middle: of 7 samples the 4 lowest.
TEST_P(PaaMatching, TakesTheLowHalfOfTheLowGroup) {
  const Values score = {8, .4f, 1.2f, 1, 9, .8f, 1.6f, 1.1f, .9f, kNaN};
  const std::vector<int> first = {0, 0, 0, 0, 0, 0, 0, 0, 0, kBackground};
  const Matched m = matched(GetParam(), {1}, first, score, {10}, 9);
  EXPECT_EQ(m.candidates, (std::vector<int>{1,  5,  8,  3,  7,  2,  6,  0,  4,  /* no truths: */ 77,
                                            77, 77, 77, 77, 77, 77, 77, 77, 77, 77,
                                            77, 77, 77, 77, 77, 77, 77}));
  EXPECT_EQ(m.ends, (std::vector<int>{3, 77, 77}));
  EXPECT_EQ(m.match, (std::vector<int>{kNone, 0, kNone, 0, kNone, 0, kNone, kNone, 0, kNone}));
}

// Truth 0 has candidates 1 and 0 on the first level, 5 and 4 on the second: 2 is not one, though its score is
// lower than that of 4. The lower group is {1, 5}, and both are as dense.
TEST_P(PaaMatching, EachLevelGivesItsLowest) {
  const Values score = {.7f, .5f, .8f, .1f, 9, .6f, .2f};
  const std::vector<int> first = {0, 0, 0, 1, 0, 0, kIgnored};
  const Matched m = matched(GetParam(), {2}, first, score, {4, 3}, 2);
  EXPECT_EQ(std::vector<int>(m.candidates.begin(), m.candidates.begin() + 8),
            (std::vector<int>{1, 0, 5, 4, 3, -1, -1, -1}));
  EXPECT_EQ(m.match[2], kNone);
  EXPECT_EQ(m.match[3], 1);  // the single candidate
  EXPECT_EQ(m.match[4], kNone);
  EXPECT_EQ(m.match[6], kNone);
  EXPECT_EQ(m.match[1], 0);
}

// The second anchor is below the end of the lower group, at .52, but not its level's lowest.
TEST_P(PaaMatching, OnlyCandidatesAreTaken) {
  EXPECT_EQ(matched(GetParam(), {1}, {0, 0, 0, 0, 0}, {.5f, .51f, .52f, .53f, 9}, {2, 1, 1, 1}, 1).match,
            (std::vector<int>{0, kNone, 0, kNone, kNone}));
}

TEST_P(PaaMatching, ATruthWithoutCandidates) {
  const Matched m = matched(GetParam(), {2}, {1, kNone}, {.5f, kNaN}, {2}, 2);
  EXPECT_EQ(m.ends, (std::vector<int>{-1, 0, 77}));
  EXPECT_EQ(m.match, (std::vector<int>{1, kNone}));
}

// Of equal scores the densest is the first, and only it is taken.
TEST_P(PaaMatching, EqualScores) {
  EXPECT_EQ(matched(GetParam(), {1}, {0, 0, 0}, {2, 2, 2}, {1, 2}, 9).match,
            (std::vector<int>{0, kNone, kNone}));
}

// The same formulas and sums in the same order: equal.
TEST(PaaMatchingKernels, TheGpuAgreesWithTheCpu) {
  // A single anchor, fewer than threads, more than two blocks of them; a level without anchors and one with
  // fewer than are asked for; more truths than there is room for; an image without any.
  for (const int count : {1, 100, 300}) {
    const Values score = coarse_values(3 * count, 6);
    std::vector<int> first;
    for (int i = 0; i < 3 * count; ++i) {
      const int truths = i / count == 0 ? 3 : i / count == 1 ? 0 : 1;
      first.push_back(int(Random(7, Purpose::test, 0, i).below(truths + 2)) - 2);
    }
    const std::vector<int> levels = {count / 3, 0, count / 50, count - count / 3 - count / 50};
    for (const int k : {1, 9, 100}) {
      const Matched want = matched(Device::cpu, {4, 0, 1}, first, score, levels, k);
      in_all_orders([&] {
        const Matched got = matched(Device::cuda, {4, 0, 1}, first, score, levels, k);
        EXPECT_EQ(got.candidates, want.candidates) << count;
        EXPECT_EQ(got.ends, want.ends) << count;
        EXPECT_EQ(got.match, want.match) << count;
      });
    }
  }
}

}  // namespace
}  // namespace osprey::test
