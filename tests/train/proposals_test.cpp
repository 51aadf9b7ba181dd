// Average recall of proposals, by hand, and from an [rpn].
#include <gtest/gtest.h>

#include "core/log.h"
#include "models/weights.h"
#include "tests/train/drawn.h"
#include "train/metrics/proposals.h"
#include "train/proposals.h"

namespace osprey {
namespace {

// Two objects in one image, of 10 x 10 and of 50 x 50 pixels and of two classes, one in another; a crowd.
const std::vector<TruthBox> kTruths = {{0, 0, {0, 0, 10, 10}, false, false, 100},
                                       {0, 3, {100, 100, 50, 50}, false, false, 2500},
                                       {2, 1, {0, 0, 10, 10}, false, false, 100},
                                       {2, 1, {50, 50, 90, 90}, false, true, 8100}};

TEST(ProposalRecall, CountsObjectsFoundByTheBestOfTheirImage) {
  std::vector<DetectedBox> proposals;
  for (int i = 0; i < 150; ++i) proposals.push_back({0, 0, 1 - i * 1e-3, {500, 500, 10, 10}});
  proposals[120].box = {100, 100, 50, 36};  // IoU 0.72: found at 0.5 to 0.7
  proposals[50].box = {0, 0, 10, 10};       // found at all ten
  const ProposalRecall recall = proposal_recall(kTruths, proposals, 3);
  EXPECT_NEAR(recall.ar100, 1 / 3., 1e-12);
  EXPECT_NEAR(recall.ar300, (1 + .5) / 3, 1e-12);
  EXPECT_NEAR(recall.ar1000, (1 + .5) / 3, 1e-12);
  EXPECT_NEAR(recall.recall50, 2 / 3., 1e-12);
  EXPECT_NEAR(recall.ar_small, .5, 1e-12);
  EXPECT_NEAR(recall.ar_medium, .5, 1e-12);
  EXPECT_EQ(recall.ar_large, -1);
  EXPECT_EQ(recall.truths, 3);
  EXPECT_NEAR(recall.proposals, 50, 1e-12);
}

// Two proposals on one object find one.
TEST(ProposalRecall, EachProposalFindsOneObject) {
  const std::vector<TruthBox> truths = {{0, 0, {0, 0, 10, 10}, false, false, 100},
                                        {0, 0, {0, 0, 10, 9}, false, false, 90}};
  EXPECT_NEAR(proposal_recall(truths, {{0, 0, .5, {0, 0, 10, 10}}}, 1).recall50, .5, 1e-12);
  EXPECT_NEAR(proposal_recall(truths, {{0, 0, .5, {0, 0, 10, 10}}, {0, 0, .4, {0, 0, 10, 10}}}, 1).recall50,
              1, 1e-12);
}

TEST(ProposalRecall, WithoutTruthsThereIsNothingToMeasure) {
  const ProposalRecall recall = proposal_recall({}, {{0, 0, .5, {0, 0, 10, 10}}}, 1);
  EXPECT_EQ(recall.ar100, -1);
  EXPECT_EQ(recall.recall50, -1);
}

// A network whose weights are all 0 proposes its anchors, unless they silence each other: of 16 pixels, in
// the middle of cells of 16. The images are twice as wide as the network input.
TEST(ProposeAll, GivesBoxesInPixelsOfTheImage) {
  const Temporary folder;
  const std::string cfg =
      folder.write("t.cfg",
                   "[net]\nwidth=32\nheight=32\nchannels=3\nbatch=2\n"
                   "[maxpool]\nsize=16\nstride=16\n"
                   "[convolutional]\nname=o\nfilters=1\nsize=1\nactivation=linear\n"
                   "[convolutional]\nfrom=0\nname=d\nfilters=4\nsize=1\nactivation=linear\n"
                   "[rpn]\nfrom=o,d\nanchor_sizes=16\nanchor_ratios=1\nanchor_offset=.5\n");
  NetworkOptions options;
  options.build.training = false;
  Network network(read_cfg(cfg), options);
  network.plan(2, 32, 32);
  for (const ParameterSpan& span : network.parameters().spans())
    for (float& value : network.parameters().value(span)) value = 0;
  network.prepare();
  const Dataset dataset = load_dataset(read_data_file(draw_set(folder, 3)), Split::valid, true);
  const Evaluated found = propose_all(network, dataset, Fit::stretch);
  ASSERT_EQ(found.detections.size(), 3u * 4);
  EXPECT_FALSE(found.truths.empty());
  const DetectedBox& last = found.detections.back();  // of the last image, which is alone in its mini-batch
  EXPECT_EQ(last.image, 2);
  EXPECT_EQ(last.score, .5);
  EXPECT_EQ(last.box.x, 32);
  EXPECT_EQ(last.box.y, 32);
  EXPECT_EQ(last.box.width, 32);
}

TEST(ProposeAll, NeedsAnRpn) {
  const Temporary folder;
  NetworkOptions options;
  options.build.training = false;
  Network network(read_cfg(folder.write("t.cfg", drawn_cfg(3))), options);
  network.plan(1, 64, 64);
  const Dataset dataset = load_dataset(read_data_file(draw_set(folder, 1)), Split::valid, true);
  EXPECT_THROW(propose_all(network, dataset, Fit::stretch), Error);
}

}  // namespace
}  // namespace osprey
