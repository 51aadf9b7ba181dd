#include <gtest/gtest.h>

#include <cmath>

#include "layers/heads/head.h"
#include "tests/layers/harness.h"

namespace osprey {
namespace {

// Two by two cells, two boxes of each, one class: 4 classes, 8 confidences, 8 boxes.
const std::string kSmall = "[detection]\nside=2\nnum=2\nclasses=1\n";
constexpr int kNumbers = 4 + 8 + 32, kSure = 4, kBoxes = 12;
constexpr Shape kInput = {1, 1, 1, kNumbers};
constexpr Tolerance kFloat = {1e-6f, 1e-6f};  // a few units in the last place

Candidates decoded(SingleLayer& layer, float threshold) {
  Candidates found;
  layer.layer().head()->decode(layer.layer().y, 0, threshold, found);
  return found;
}

void give_truth(SingleLayer& layer, const Values& boxes) {
  layer.truth_counts[0] = int(boxes.size()) / 5;
  std::copy(boxes.begin(), boxes.end(), layer.truths.begin());
}

Values delta(SingleLayer& layer) {
  const View<const float> d = layer.layer().head()->delta();
  return {d.begin(), d.end()};
}

TEST(Detection, DecodesByHand) {
  for (const bool root : {false, true}) {
    SingleLayer layer(kSmall + "sqrt=" + std::to_string(root), {kInput}, Device::cpu, false);
    Values x(kNumbers, 0);
    x[2] = .5f;                  // the class of the third cell: row 1, column 0
    x[kSure + 2 * 2 + 1] = .8f;  // its second box
    const Values box = {.25f, .5f, .5f, .75f};
    std::copy(box.begin(), box.end(), x.begin() + kBoxes + 4 * 5);
    layer.forward(x);
    const Candidates found = decoded(layer, .3f);
    ASSERT_EQ(found.count(), 1);
    const CentreBox b = found.boxes[0];
    const Values size = root ? Values{.25f, .5625f} : Values{.5f, .75f};
    expect_equal({b.x, b.y, b.w, b.h}, {.125f, .75f, size[0], size[1]}, kFloat);
    EXPECT_FLOAT_EQ(found.objectness[0], .8f);
    EXPECT_FLOAT_EQ(found.of(0)[0], .4f);
    EXPECT_EQ(decoded(layer, .4f).count(), 0);  // 0.4 is not above 0.4
  }
}

// Darknet flattens channel by channel.
TEST(Detection, ReadsAMapAsDarknetFlattensIt) {
  const std::string cfg = "[detection]\nside=1\nnum=1\nclasses=3\n";
  for (Device device : {Device::cpu, Device::cuda}) {
    SingleLayer layer(cfg, {{1, 2, 2, 2}}, device);
    // [H,W,C]: channel 0 has 0 1 2 3 in its pixels, channel 1 has 4 5 6 7.
    expect_equal(layer.forward({0, 4, 1, 5, 2, 6, 3, 7}), {0, 1, 2, 3, 4, 5, 6, 7});
    // No truth: only the confidence, number 3, learns: to be 0.
    expect_equal(layer.backward(Values(8, 0), {Values(8, 1)})[0], {1, 1, 1, 1, 1, 1, 4, 1});
    expect_equal(layer.backward_overwriting(Values(8, 0))[0], {0, 0, 0, 0, 0, 0, 3, 0});
  }
}

TEST(Detection, ACellLearnsItsFirstTruthInTheBoxThatOverlapsMost) {
  SingleLayer layer(kSmall + "coord_scale=5\nnoobject_scale=.5\nclass_scale=2\nobject_scale=3", {kInput});
  Values x(kNumbers, .5f);               // every box: the middle of its cell, half of the image wide and high
  const int first = kBoxes + 4 * 2 * 3;  // of the last cell
  x[first + 2] = .25f;
  give_truth(layer, {.8f, .7f, .5f, .4f, 0,    // in the last cell
                     .9f, .9f, .1f, .1f, 0});  // there too, but second
  layer.forward(x);
  Values want(kNumbers, 0);
  for (int k = 0; k < 8; ++k) want[kSure + k] = -.5f * .5f;
  want[3] = 2 * .5f;
  want[kSure + 7] = 3 * .5f;
  const Values slopes = {.6f - .5f, .4f - .5f, 0, -.1f};
  for (int e = 0; e < 4; ++e) want[first + 4 + e] = 5 * slopes[e];
  expect_equal(delta(layer), want, kFloat);
  EXPECT_EQ(layer.report.matched, 1);
  // Centres .05 and -.05 apart: .45 by .4 of the smaller's .5 x .4 and the larger's .5 x .5.
  const double both = .45 * .4, overlap = both / (.2 + .25 - both);
  EXPECT_NEAR(layer.report.iou, overlap, 1e-6);
  EXPECT_NEAR(layer.report.objectness_loss, 7 * .0625 + 2.25, 1e-5);
  EXPECT_NEAR(layer.report.class_loss, 1, 1e-6);
}

TEST(Detection, RescoreTeachesTheOverlap) {
  SingleLayer layer(kSmall + "rescore=1\nsqrt=1", {kInput});
  Values x(kNumbers, .5f);  // boxes of a quarter
  give_truth(layer, {.25f, .25f, .25f, .5f, 0});
  layer.forward(x);
  EXPECT_NEAR(delta(layer)[kSure], .5 - .5, 1e-6);  // overlap: half of the truth is the whole box
  EXPECT_NEAR(delta(layer)[kBoxes + 3], std::sqrt(.5) - .5, 1e-6);
}

TEST(Detection, ForcedBoxesGoByTheirArea) {
  for (const auto& [size, box] : {std::pair(.3f, 1), std::pair(.4f, 0)}) {
    SingleLayer layer(kSmall + "forced=1", {kInput});
    give_truth(layer, {.25f, .25f, size, size, 0});  // 0.09 and 0.16 of the image
    layer.forward(Values(kNumbers, 0));
    EXPECT_EQ(delta(layer)[kSure + box], 1) << size;
    EXPECT_EQ(delta(layer)[kSure + 1 - box], 0) << size;
  }
}

// Random boxes are drawn anew in each pass, until 64000 images have been seen.
TEST(Detection, RandomBoxesLearnAtFirst) {
  SingleLayer layer(kSmall + "random=1", {kInput});
  give_truth(layer, {.25f, .25f, .5f, .5f, 0});
  Values x(kNumbers, .5f);
  const auto taught = [&](int pass, int64_t seen) {
    layer.step.pass = pass;
    layer.step.seen = seen;
    layer.forward(x);
    return delta(layer)[kSure] > 0 ? 0 : 1;
  };
  int second = 0;
  for (int pass = 0; pass < 64; ++pass) second += taught(pass, 63999);
  EXPECT_GT(second, 16);
  EXPECT_LT(second, 48);
  for (int pass = 0; pass < 16; ++pass) EXPECT_EQ(taught(pass, 64000), 0);
}

TEST(Detection, TellsWhatRulesTheTraining) {
  SingleLayer layer(kSmall + "jitter=.3\nmax=7\nresize=1.5\nnms_threshold=.3", {kInput});
  const Head& head = *layer.layer().head();
  EXPECT_FLOAT_EQ(head.augmentation().jitter, .3f);
  EXPECT_FLOAT_EQ(head.augmentation().resize, 1.5f);
  EXPECT_EQ(head.augmentation().random, 0);  // its [connected] layer is for one size
  EXPECT_EQ(layer.truth_capacity(), 7);
  EXPECT_FLOAT_EQ(head.nms().threshold_or_usual(), .3f);
  EXPECT_EQ(head.most_listed().candidates, 8);
}

TEST(Detection, ExplainsWhatIsWrongWithItsSection) {
  expect_error("[detection]\nclasses=20\nnum=3\nside=7",
               "test.cfg:1: [detection] needs 1715 numbers (7 x 7 cells x (20 classes + 3 boxes x 5)); the "
               "layer before has 256: set its output=1715");
  expect_error(kSmall + "coords=5", "test.cfg:5: [detection] coords must be between 4 and 4, not 5");
  expect_error("[detection]\nside=1\nforced=1", "test.cfg:3: [detection] forced=1 chooses between two boxes",
               {{1, 1, 1, 6}});
  expect_error("[detection]\nside=1\nrandom=1", "test.cfg:3: [detection] random=1 has no choice: num is 1",
               {{1, 1, 1, 6}});
}

}  // namespace
}  // namespace osprey
