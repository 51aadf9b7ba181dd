#include "cuda/proposals.h"

#include "tests/cuda/kernel_test.h"
#include "tests/cuda/own_proposals.h"

namespace osprey::test {
namespace {

// One level, one anchor of 8 pixels in each of 4 cells, which lie 4 pixels apart: neighbours overlap by 1/3.
class Row : public testing::TestWithParam<Device> {
 protected:
  Row() {
    proposals.add_level({1, 1, 4, 1}, {.5f, 2, 1, -1}, Values(16, 0));
    for (int i = 0; i < 4; ++i) proposals.anchors.push_back({4.f * float(i), 0, 4.f * float(i) + 8, 8});
    proposals.sizes = {20, 20};
  }
  // The left edges of what is proposed.
  std::vector<float> lefts(int pre_nms, int post_nms) {
    const Values table = proposals.run(GetParam(), pre_nms, post_nms);
    std::vector<float> x;
    for (int row = 0; row < post_nms; ++row)
      if (table[size_t(row) * kRoiEntries + kRoiMatch] == kBackground)
        x.push_back(table[size_t(row) * kRoiEntries]);
    return x;
  }
  OwnProposals proposals;
};
INSTANTIATE_TEST_SUITE_P(Proposals, Row, testing::Values(Device::cpu, Device::cuda));

TEST_P(Row, BestFirstWithoutThoseTheySilence) {
  EXPECT_EQ(lefts(4, 4), (std::vector<float>{4, 8, 0, 12}));  // 1/3 silences nobody
  proposals.rule.nms_threshold = .33f;
  EXPECT_EQ(lefts(4, 4), (std::vector<float>{4, 12}));
  EXPECT_EQ(lefts(3, 4), (std::vector<float>{4}));
  EXPECT_EQ(lefts(4, 1), (std::vector<float>{4}));
  proposals.rule.nms_threshold = 1.f / 3;  // what only equals the threshold stays
  EXPECT_EQ(lefts(4, 4), (std::vector<float>{4, 8, 0, 12}));
}

TEST_P(Row, ByNwd) {
  proposals.rule.overlap = ProposalOverlap::nwd;
  proposals.rule.constant = 4;  // NWD of neighbours: 1/e
  proposals.rule.nms_threshold = .37f;
  EXPECT_EQ(lefts(4, 4), (std::vector<float>{4, 8, 0, 12}));
  proposals.rule.nms_threshold = .36f;
  EXPECT_EQ(lefts(4, 4), (std::vector<float>{4, 12}));
}

TEST_P(Row, ClippedAndDroppedIfSmall) {
  proposals.sizes = {13, 20};  // of the last box 1 pixel is left
  proposals.rule.min_size = 1;
  EXPECT_EQ(lefts(4, 4), (std::vector<float>{4, 8, 0, 12}));
  proposals.rule.min_size = 1.01f;
  EXPECT_EQ(lefts(4, 4), (std::vector<float>{4, 8, 0}));
}

TEST_P(Row, DroppedIfUnlikely) {
  proposals.rule.min_score = .5f;
  EXPECT_EQ(lefts(4, 4), (std::vector<float>{4, 8, 0}));
}

TEST_P(Row, NothingThatIsNotANumber) {
  proposals.deltas[0][4] = NAN;      // of the best box
  proposals.objectness[0][2] = NAN;  // of the second
  EXPECT_EQ(lefts(4, 4), (std::vector<float>{0, 12}));
}

TEST_P(Row, TheTableSaysScoresAndWhatIsEmpty) {
  proposals.rule.nms_threshold = .33f;
  const Values table = proposals.run(GetParam(), 4, 3);
  const Values want = {4, 0,         12,          8, 0.880797f, kBackground, 12, 0, 20,
                       8, 0.268941f, kBackground, 0, 0,         0,           0,  0, kNoRoi};
  ASSERT_EQ(table.size(), want.size());
  for (size_t i = 0; i < want.size(); ++i) EXPECT_NEAR(table[i], want[i], 1e-6) << i;
}

// Equal boxes on two levels: neither silences the other. Of equal scores the finer level's comes first.
TEST(Proposals, LevelsAreByThemselves) {
  for (const Device device : {Device::cpu, Device::cuda}) {
    OwnProposals p;
    p.add_level({1, 1, 1, 1}, {1}, Values(4, 0));
    p.add_level({1, 1, 1, 2}, {1, 3}, Values(8, 0));
    p.anchors = {{0, 0, 8, 8}, {0, 0, 9, 8}, {0, 0, 8, 9}};
    p.sizes = {16, 16};
    const Values table = p.run(device, 2, 3);
    EXPECT_EQ(table[kRoiY2], 9);
    EXPECT_EQ(table[kRoiEntries + kRoiX2], 8);
    EXPECT_EQ(table[2 * kRoiEntries + kRoiMatch], kNoRoi);
  }
}

// Random boxes, many of which overlap, over several tiles and more than one round of the block's threads; few
// places, and more than there are boxes; ties of scores. The formulas are the same: equal to the last bit.
TEST(Proposals, TheGpuAgreesWithTheCpu) {
  const auto expect_agreement = [](ProposalOverlap overlap, int pre_nms, int post_nms) {
    OwnProposals p = random_proposals(2, {{2, 24, 24, 3}, {2, 7, 5, 3}, {2, 1, 1, 3}});
    p.rule.overlap = overlap;
    p.rule.nms_threshold = .6f;
    p.rule.min_size = 4;
    const Values want = p.run(Device::cpu, pre_nms, post_nms);
    in_all_orders([&] { EXPECT_EQ(p.run(Device::cuda, pre_nms, post_nms), want); });
  };
  expect_agreement(ProposalOverlap::nwd, 100, 40);
  expect_agreement(ProposalOverlap::iou, 1300, 40);
  expect_agreement(ProposalOverlap::iou, 33, 3000);
  expect_agreement(ProposalOverlap::iou, 1, 1);
}

}  // namespace
}  // namespace osprey::test
