#include "cuda/feedback.h"

#include "tests/cuda/kernel_test.h"
#include "tests/cuda/matching_boxes.h"

namespace osprey::test {
namespace {

struct Fed {
  Values weights, share;
};

// Weights by the share before, and the share after; losses of rows that are no positives must not be read.
Fed fed(Device device, const std::vector<int>& match, const BoxLists& truths, Values losses,
        FeedbackRule rule, float share) {
  const int images = truths.boxes.shape.n;
  const Shape shape = {images, 1, 1, int(match.size()) / images};
  for (size_t i = 0; i < losses.size(); ++i)
    if (match[i] < 0) losses[i] = NAN;
  Fed r = {Values(match.size(), 77), {share}};
  const View<const int> m(match.data(), shape);
  Stream s{device};
  on(s, cpu::feedback_weights, cuda::feedback_weights)(s, m, truths, rule, constant(r.share, {1, 1, 1, 1}),
                                                       view(r.weights, shape));
  on(s, cpu::feedback_share, cuda::feedback_share)(s, m, truths, constant(losses, shape), rule,
                                                   channels(r.share));
  return r;
}

// A small truth of 16x16, one of just 32x32, and a large one of 64x32.
class FeedbackByHand : public testing::TestWithParam<Device> {
 protected:
  Fed with(const std::vector<int>& match, const Values& losses, float share) {
    return fed(GetParam(), match, truths.lists, losses, rule, share);
  }
  const OwnBoxLists truths{{{{0, 0, 16, 16}, {8, 8, 40, 40}, {0, 0, 64, 32}}}, 3};
  FeedbackRule rule;
};
INSTANTIATE_TEST_SUITE_P(Devices, FeedbackByHand, testing::Values(Device::cpu, Device::cuda));

TEST_P(FeedbackByHand, SmallObjectsGainWhileTheirShareIsSmall) {
  const std::vector<int> match = {kBackground, 0, 1, 2, kIgnored, 0};
  const Values losses = {9, 1, 2, 5, 9, 0};
  // Half of enough, and a quarter of the area: 1 + 1/2 * 3/4.
  const Fed half = with(match, losses, .05f);
  EXPECT_EQ(half.weights, (Values{0, 1.375f, 1, 1, 0, 1.375f}));
  EXPECT_FLOAT_EQ(half.share[0], .375f);  // 32x32 is small, too
  EXPECT_EQ(with(match, losses, .1f).weights, (Values{0, 1, 1, 1, 0, 1}));
  EXPECT_EQ(with(match, losses, 0).weights, (Values{0, 1, 1, 1, 0, 1}));  // not known yet
  rule.strength = 2;
  rule.enough = .2f;
  EXPECT_FLOAT_EQ(with(match, losses, .05f).weights[1], 1 + 2 * .75f * .75f);
}

TEST_P(FeedbackByHand, WeightsOfYoloComeFirst) {
  rule.width = rule.height = 64;
  const Fed got = with({0, 2}, {3, 1}, .05f);
  EXPECT_FLOAT_EQ(got.weights[0], (2 - .0625f) * 1.375f);
  EXPECT_FLOAT_EQ(got.weights[1], 1.5f);
  EXPECT_FLOAT_EQ(got.share[0], 3 * 1.9375f / (3 * 1.9375f + 1.5f));  // without the gain
}

TEST_P(FeedbackByHand, AStepThatSaysNothingLeavesTheShare) {
  EXPECT_EQ(with({2, kBackground}, {1, 1}, .05f).share[0], .05f);  // no small object
  EXPECT_EQ(with({0, kBackground}, {0, 1}, .05f).share[0], .05f);  // no loss
  EXPECT_EQ(with({0, 2}, {INFINITY, 1}, .05f).share[0], .05f);     // none that is a number
  EXPECT_EQ(with({0, 2}, {1, NAN}, .05f).share[0], .05f);
  EXPECT_EQ(with({kBackground, kIgnored}, {1, 1}, .05f).share[0], .05f);  // no positive
}

TEST_P(FeedbackByHand, TheShareMayMoveSlowly) {
  rule.momentum = .75f;
  EXPECT_FLOAT_EQ(with({0, 2}, {1, 3}, .05f).share[0], .75f * .05f + .25f * .25f);
  EXPECT_FLOAT_EQ(with({0, 2}, {1, 3}, 0).share[0], .25f);  // but not from a share that is not known
}

// Multiples of 1/8 add up exactly, but for the size weights: a few last bits of a float.
TEST(Feedback, TheGpuAgreesWithTheCpu) {
  for (const int rows : {1, 700}) {
    const OwnBoxLists truths({coarse_boxes(7, 1), {}, coarse_boxes(3, 2)}, 5);
    FeedbackRule rule;
    rule.small_area = 100;
    rule.width = 64;
    rule.height = 48;
    Values losses = coarse_values(3 * rows, 3);
    std::vector<int> match;
    for (int i = 0; i < 3 * rows; ++i) {
      losses[size_t(i)] += 1.125f;
      const int count = truths.lists.count(i / rows);
      match.push_back(count == 0 ? kBackground
                                 : Random(4, Purpose::test, 5, uint64_t(i)).below(count + 2) - 2);
    }
    const Fed want = fed(Device::cpu, match, truths.lists, losses, rule, .04f);
    in_all_orders([&] {
      const Fed got = fed(Device::cuda, match, truths.lists, losses, rule, .04f);
      for (size_t i = 0; i < match.size(); ++i) ASSERT_FLOAT_EQ(got.weights[i], want.weights[i]) << i;
      ASSERT_FLOAT_EQ(got.share[0], want.share[0]);
    });
  }
}

}  // namespace
}  // namespace osprey::test
