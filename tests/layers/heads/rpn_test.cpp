// [rpn]: its two devices against each other, its gradients against differences, its proposals and its errors.
#include <gtest/gtest.h>

#include <cmath>

#include "core/roi_table.h"
#include "cuda/emulation.h"
#include "cuda/matching.h"
#include "tests/layers/harness.h"

namespace osprey {
namespace {

constexpr Shape kNetwork = {2, 32, 32, 3};

// Two levels of 4x4 and 2x2 cells, strides 8 and 16, with two anchors in each: 40 of each image.
const std::vector<Shape> kInputs = {{2, 4, 4, 2}, {2, 2, 2, 2}, {2, 4, 4, 8}, {2, 2, 2, 8}};
const std::string kShapes = "[rpn]\nmax=4\nanchor_scale=1\nanchor_ratios=.5,1\nanchor_offset=.5\n";

const std::string kCases[] = {
    "num=16\npost_nms=20\npost_nms_test=20\nforeground=.5",
    "num=7\npositive_fraction=.2\nbox_loss=giou\nbox_weight=3\npre_nms=9\npost_nms=5\npre_nms_test=8\n"
    "post_nms_test=6\nnms_threshold=.3\nlow_quality=their_truth",
    "num=16\npost_nms=20\nforeground=.5\nfeedback=1\nfeedback_threshold=.9\nfeedback_area=100\n"
    "feedback_momentum=1",
    "num=100\nassigner=ranking\ntop_k=3\nsmooth_l1_beta=2\npost_nms=60\nmin_size=9\nmin_score=.3",
    // As with NWD's authors.
    "num=30\nsimilarity=nwd\nnwd_constant=8\nlow_quality=their_truth\nlow_quality_least=.3\nbox_loss=nwd\n"
    "box_weight=10\nnms=nwd\nnms_threshold=.85",
};

std::vector<Values> maps(uint64_t seed) {
  std::vector<Values> all;
  for (size_t k = 0; k < kInputs.size(); ++k) {
    all.push_back(random_values(kInputs[k], seed + k));
    for (float& v : all.back()) v *= k < 2 ? 2.f : .3f;  // small deltas: boxes stay near their anchors
  }
  return all;
}

// Some truths in the first image, of which one has no area; none in the second.
void give_truths(SingleLayer& layer) {
  layer.truth_counts = {4, 0};
  const float rows[4][5] = {
      {.3f, .3f, .2f, .25f, 0}, {.7f, .6f, .5f, .5f, 70}, {.5f, .5f, 0, .2f, 0}, {.8f, .2f, .25f, .3f, 3}};
  std::copy(&rows[0][0], &rows[0][0] + 20, layer.truths.begin());
}

struct Outcome {
  Values table;
  std::vector<Values> gradients;
  LossReport report;
};

Outcome run(const std::string& keys, Device device, bool training, float dy = 0) {
  SingleLayer layer(kShapes + keys, kInputs, device, training, kNetwork);
  if (training) give_truths(layer);
  Outcome result;
  // Feedback begins with the second step.
  if (training && keys.find("feedback=1") != std::string::npos) layer.forward(maps(5));
  result.table = layer.forward(maps(3));
  if (!training) return result;
  result.report = layer.report;
  std::vector<Values> before;
  for (const Shape& shape : kInputs) before.push_back(random_values(shape, 77));
  result.gradients = layer.backward(Values(size_t(layer.output().size()), dy), before);
  return result;
}

// The formulas of proposals are compiled alike: equal. Losses are summed in another order.
TEST(Rpn, KernelsAgreeWithTheCpu) {
  const Tolerance tolerance = {2e-6f, 1e-6f};
  for (const std::string& keys : kCases)
    for (const bool training : {false, true}) {
      SCOPED_TRACE(keys);
      const Outcome want = run(keys, Device::cpu, training);
      for (const auto order :
           {emulation::Order::forward, emulation::Order::reverse, emulation::Order::shuffled}) {
        emulation::set_order(order);
        const Outcome got = run(keys, Device::cuda, training);
        EXPECT_EQ(got.table, want.table);
        for (size_t k = 0; k < got.gradients.size(); ++k)
          expect_equal(got.gradients[k], want.gradients[k], tolerance);
        EXPECT_EQ(got.report.matched, want.report.matched);
        EXPECT_NEAR(got.report.loss, want.report.loss, 1e-5);
        EXPECT_NEAR(got.report.iou, want.report.iou, 1e-5);
      }
      emulation::set_order(emulation::Order::forward);
    }
}

// The seed is the same in every pass, so what is sampled stays; matching looks at anchors alone.
TEST(Rpn, GradientsAreSlopesOfTheLoss) {
  for (const std::string& keys : kCases) {
    SCOPED_TRACE(keys);
    SingleLayer layer(kShapes + keys, kInputs, Device::cpu, true, kNetwork);
    give_truths(layer);
    std::vector<Values> x = maps(3);
    const auto loss = [&] {
      layer.forward(x);
      return layer.report.loss;
    };
    loss();
    loss();  // where feedback begins; with a momentum of 1 its share then stays
    EXPECT_GT(layer.report.matched, 0);
    const std::vector<Values> gradients = layer.backward(Values(size_t(layer.output().size()), 0));
    constexpr float kStep = 1e-2f;
    for (size_t k = 0; k < x.size(); ++k)
      for (size_t i = k; i < x[k].size(); i += 3) {
        const float centre = x[k][i];
        x[k][i] = centre + kStep;
        const double above = loss();
        x[k][i] = centre - kStep;
        const double below = loss();
        x[k][i] = centre;
        const double slope = (above - below) / (2 * kStep);
        // Curvature leaves about the step squared, kinks of smooth L1 and of overlaps somewhat more; a wrong
        // factor would be seen.
        ASSERT_NEAR(gradients[k][i], slope, 3e-3 * std::max(1.0, std::fabs(slope)))
            << "input " << k << ", " << i;
      }
  }
}

// What comes back from the layers that use the table is not even read.
TEST(Rpn, ProposalsAreDetached) {
  for (const Device device : {Device::cpu, Device::cuda})
    EXPECT_EQ(run(kCases[0], device, true, NAN).gradients, run(kCases[0], device, true).gradients);
}

// All anchors are background. Logits of 0 cost ln 2 each: the mean, once for each image.
TEST(Rpn, WithoutTruthsEverythingIsBackground) {
  for (const Device device : {Device::cpu, Device::cuda}) {
    SingleLayer layer(kShapes + "num=16", kInputs, device, true, kNetwork);
    std::vector<Values> x;
    for (const Shape& shape : kInputs) x.emplace_back(size_t(shape.size()), 0.0f);
    layer.forward(x);
    EXPECT_EQ(layer.report.matched, 0);
    EXPECT_EQ(layer.report.box_loss, 0);
    EXPECT_NEAR(layer.report.loss, 2 * std::log(2.), 1e-6);
    const std::vector<Values> gradients = layer.backward(Values(size_t(layer.output().size()), 0));
    int sampled = 0;
    for (int k = 0; k < 2; ++k)
      for (const float g : gradients[size_t(k)]) {
        if (g == 0) continue;
        EXPECT_NEAR(g, .5f * 2 / 32, 1e-7);
        ++sampled;
      }
    EXPECT_EQ(sampled, 32);
    EXPECT_EQ(gradients[2], Values(gradients[2].size(), 0));
  }
}

TEST(Rpn, TruthsThatCannotBeLearntAreNone) {
  const float odd[3][5] = {{.5f, .5f, 0, .4f, 0}, {1.4f, .5f, .5f, .5f, 0}, {.5f, NAN, .5f, .5f, 0}};
  for (const std::string& keys : kCases)
    for (const Device device : {Device::cpu, Device::cuda}) {
      SCOPED_TRACE(keys);
      SingleLayer layer(kShapes + keys, kInputs, device, true, kNetwork);
      std::copy(&odd[0][0], &odd[0][0] + 15, layer.truths.begin());
      std::vector<Values> gradients[2];
      for (const int count : {0, 3}) {
        layer.truth_counts = {count, 0};
        layer.forward(maps(3));
        EXPECT_EQ(layer.report.matched, 0);
        EXPECT_TRUE(std::isfinite(layer.report.loss));
        gradients[count > 0] = layer.backward(Values(size_t(layer.output().size()), 0));
      }
      EXPECT_EQ(gradients[0], gradients[1]);
      for (const Values& values : gradients[0])
        for (const float g : values) EXPECT_TRUE(std::isfinite(g));
    }
}

std::vector<Values> gradients_in_pass(int64_t pass) {
  SingleLayer layer(kShapes + "num=8", kInputs, Device::cpu, true, kNetwork);
  layer.step.pass = pass;
  layer.forward(maps(3));
  return layer.backward(Values(size_t(layer.output().size()), 0));
}
TEST(Rpn, EveryPassSamplesOthers) {
  EXPECT_EQ(gradients_in_pass(4), gradients_in_pass(4));
  EXPECT_NE(gradients_in_pass(4), gradients_in_pass(5));
}

// One level, one anchor of 8 pixels in the middle of each cell of 16.
TEST(Rpn, ProposesDecodedBoxesOfTheBestAnchors) {
  const std::string cfg =
      "[rpn]\nanchor_sizes=8\nanchor_ratios=1\nanchor_offset=.5\npost_nms_test=3\npre_nms_test=2\n";
  for (const Device device : {Device::cpu, Device::cuda}) {
    SingleLayer layer(cfg, {{1, 2, 2, 1}, {1, 2, 2, 4}}, device, false, {1, 32, 32, 3});
    Values deltas(16, 0);
    deltas[4 * 3] = .5f;                 // half an anchor to the right
    deltas[4 * 3 + 3] = std::log(4.0f);  // four times as high: beyond the image
    const Values table = layer.forward({{1, -1, 0, 2}, deltas});
    ASSERT_EQ(layer.output(), (Shape{1, 1, 3, kRoiEntries}));
    const Values want = {24, 8,        32,          32, .880797f, kBackground, 4, 4, 12,
                         12, .731059f, kBackground, 0,  0,        0,           0, 0, kNoRoi};
    expect_equal(table, want, {1e-6f, 1e-6f});
  }
}

TEST(Rpn, SaysWhatDoesNotFit) {
  expect_error("[rpn]\nanchor_ratios=1\n", "from lists 3 maps, but needs 2 for each level",
               {{1, 4, 4, 1}, {1, 2, 2, 1}, {1, 4, 4, 4}});
  expect_error("[rpn]\nanchor_ratios=1\n", "needs 1 channels", {{1, 4, 4, 2}, {1, 4, 4, 4}});
  expect_error("[rpn]\nanchor_ratios=1\n", "needs 4 channels", {{1, 4, 4, 1}, {1, 4, 4, 8}});
  expect_error("[rpn]\nanchor_ratios=1\n", "have one size", {{1, 4, 4, 1}, {1, 2, 2, 4}});
  expect_error("[rpn]\nanchor_ratios=1\nstrides=16\n", "not a stride of 16", {{1, 4, 4, 1}, {1, 4, 4, 4}});
  expect_error("[rpn]\npre_nms=20000\n", "pre_nms", {{1, 4, 4, 3}, {1, 4, 4, 12}});
  expect_error("[rpn]\nforeground=.2\n", "must not be above", {{1, 4, 4, 3}, {1, 4, 4, 12}});
}

}  // namespace
}  // namespace osprey
