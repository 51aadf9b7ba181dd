// [retina]: its two devices against each other, its gradients against differences, and its errors.
#include <gtest/gtest.h>

#include <cmath>

#include "core/error.h"
#include "core/random.h"
#include "cuda/emulation.h"
#include "layers/heads/head.h"
#include "tests/layers/harness.h"

namespace osprey {
namespace {

constexpr Shape kNetwork = {2, 32, 32, 3};
constexpr int kTruths = 5;

struct Case {
  std::string keys;
  int anchors, classes;
  bool quality = false;
};

const Case kCases[] = {
    {"classes=1\nanchor_ratios=1\nscales_per_octave=1\nsmooth_l1_beta=.3", 1, 1},
    {"classes=3\nanchor_ratios=.5,1\nscales_per_octave=1\nsmooth_l1_beta=.1\nbox_weight=2", 2, 3},
    {"classes=3\nanchor_ratios=1\nscales_per_octave=2\nbox_loss=giou\nnormaliser=batch\nlow_quality=their_"
     "truth",
     2, 3},
    {"classes=7\nanchor_ratios=1\nscales_per_octave=1\nbox_loss=ciou\nclass_loss=bce\nlow_quality="
     "none\nforeground=.3\n"
     "background=.2",
     1, 7},
    {"classes=2\nanchor_ratios=1\nscales_per_octave=1\nbox_loss=nwd\nnwd_constant=8\nquality=iou\nquality_"
     "weight=.5\n"
     "score=root\nanchor_offset=.5",
     1, 2, true},
    {"classes=2\nanchor_ratios=1\nscales_per_octave=1\nbox_loss=giou\nquality=centerness\ncoder=distances\n"
     "anchor_scale=1\nanchor_offset=.5\nnormaliser=batch\nforeground=.2\nbackground=.1",
     1, 2, true},
    {"classes=2\nanchor_ratios=1\nscales_per_octave=1\nbox_loss=diou\nquality=objectness\nclass_loss=bce\n"
     "soft_classes=1\ncoder_centre=10\ncoder_size=5\nanchor_scale=2",
     1, 2, true},
    {"classes=2\nanchor_ratios=.5,1\nscales_per_octave=1\nbox_loss=giou\nassigner=atss\ntop_k=3\nnormaliser="
     "batch",
     2, 2},
    {"classes=2\nanchor_ratios=1\nscales_per_octave=1\nanchor_scale=2\nassigner=max_iou\nsimilarity=nwd\n"
     "foreground=.6\nsmooth_l1_beta=.2",
     1, 2},
    {"classes=2\nanchor_ratios=1\nscales_per_octave=1\nassigner=ranking\nnwd_constant=9\nsmooth_l1_beta=.2",
     1, 2},
    {"classes=2\nanchor_ratios=1\nscales_per_octave=2\nsmooth_l1_beta=.2\nfeedback=1\nfeedback_threshold=.9\n"
     "feedback_area=300\nfeedback_momentum=1\nlow_quality=their_truth",
     2, 2},
    {"classes=2\nanchor_ratios=1\nscales_per_octave=1\nbox_loss=giou\nassigner=atss\ntop_k=3\nquality=iou\n"
     "feedback=1\nfeedback_threshold=.9\nfeedback_strength=3\nfeedback_area=300\nfeedback_momentum=.5",
     1, 2, true},
    {"classes=3\nanchor_ratios=.5,1\nscales_per_octave=1\nbox_loss=giou\nassigner=paa\ntop_k=4\nquality=iou\n"
     "score=root\nnormaliser=batch",
     2, 3, true},
    {"classes=2\nanchor_ratios=1\nscales_per_octave=1\nanchor_scale=1\nanchor_offset=.5\ncoder=distances\n"
     "box_loss=giou\nquality=iou\nassigner=ota\nnormaliser=batch",
     1, 2, true},
    {"classes=2\nanchor_ratios=1\nscales_per_octave=1\nanchor_scale=1\nbox_loss=iou_square\nquality="
     "objectness\n"
     "class_loss=bce\nsoft_classes=1\nassigner=simota\nsimota=yolox\nnormaliser=batch\nbox_weight=5",
     1, 2, true},
};

std::string cfg(const Case& c) { return "[retina]\nmax=5\n" + c.keys + "\n"; }

// Two levels of 4x4 and 2x2 cells, strides 8 and 16.
std::vector<Shape> inputs(const Case& c) {
  std::vector<Shape> shapes;
  for (const int channels : {c.anchors * c.classes, c.anchors * 4, c.anchors}) {
    if (shapes.size() == 4 && !c.quality) break;
    shapes.push_back({2, 4, 4, channels});
    shapes.push_back({2, 2, 2, channels});
  }
  return shapes;
}

std::vector<Values> values_for(const std::vector<Shape>& shapes, uint64_t seed) {
  std::vector<Values> all;
  for (size_t k = 0; k < shapes.size(); ++k) {
    all.push_back(random_values(shapes[k], seed + k));
    if (k == 2 || k == 3)  // small deltas, so that boxes stay near their anchors
      for (float& v : all.back()) v *= 0.3f;
  }
  return all;
}

// Some truths in the first image, of which one has no area; none in the second.
void give_truths(SingleLayer& layer, int classes) {
  layer.truth_counts = {4, 0};
  const float rows[4][5] = {{.3f, .3f, .4f, .5f, 0},
                            {.7f, .6f, .9f, .8f, float(classes - 1)},
                            {.5f, .5f, 0, .2f, 0},
                            {.8f, .2f, .25f, .3f, float(classes / 2)}};
  std::copy(&rows[0][0], &rows[0][0] + 20, layer.truths.begin());
}

struct Outcome {
  Values y;
  std::vector<Values> gradients;
  LossReport report;
};

Outcome run(const Case& c, Device device, bool training) {
  SingleLayer layer(cfg(c), inputs(c), device, training, kNetwork);
  if (training) give_truths(layer, c.classes);
  Outcome result;
  // Feedback begins with the second step, and its share moves in each.
  if (training && c.keys.find("feedback=1") != std::string::npos)
    for (uint64_t step = 0; step < 2; ++step) layer.forward(values_for(inputs(c), 30 + step));
  result.y = layer.forward(values_for(inputs(c), 3));
  if (!training) return result;
  result.report = layer.report;
  std::vector<Values> before;
  for (const Shape& shape : inputs(c)) before.push_back(random_values(shape, 77));
  result.gradients = layer.backward(Values(size_t(layer.output().size()), 0), before);
  return result;
}

TEST(Retina, KernelsAgreeWithTheCpu) {
  const Tolerance tolerance = {2e-5f, 2e-6f};  // exponentials of two libraries, sums in another order
  for (const Case& c : kCases)
    for (const bool training : {false, true}) {
      SCOPED_TRACE(c.keys);
      const Outcome want = run(c, Device::cpu, training);
      std::vector<Outcome> runs;
      for (const auto order :
           {emulation::Order::forward, emulation::Order::reverse, emulation::Order::shuffled}) {
        emulation::set_order(order);
        runs.push_back(run(c, Device::cuda, training));
      }
      emulation::set_order(emulation::Order::forward);
      for (const Outcome& got : runs) {
        EXPECT_EQ(got.y, runs[0].y);
        EXPECT_EQ(got.gradients, runs[0].gradients);
        expect_equal(got.y, want.y, tolerance);
        for (size_t k = 0; k < got.gradients.size(); ++k)
          expect_equal(got.gradients[k], want.gradients[k], tolerance);
        EXPECT_EQ(got.report.matched, want.report.matched);
        EXPECT_NEAR(got.report.loss, want.report.loss, 1e-5 * (1 + want.report.loss));
        EXPECT_NEAR(got.report.iou, want.report.iou, 1e-4);
      }
    }
}

// What is measured on the predicted box but held constant, as papers have it, has no part in the slopes: the
// weights of a box loss, what quality and soft classes learn, and CIoU's alpha.
bool holds_constants(const Case& c) {
  for (const char* key : {"quality=iou", "soft_classes=1", "box_loss=ciou"})
    if (c.keys.find(key) != std::string::npos) return true;
  return false;
}

TEST(Retina, GradientsAreSlopesOfTheLoss) {
  for (const Case& c : kCases) {
    if (holds_constants(c)) continue;
    SCOPED_TRACE(c.keys);
    const std::vector<Shape> shapes = inputs(c);
    std::vector<Values> x = values_for(shapes, 3);
    SingleLayer layer(cfg(c), shapes, Device::cpu, true, kNetwork);
    give_truths(layer, c.classes);
    // Over the mini-batch the loss is that of the images times their number: what is differentiated is the
    // sum.
    const auto loss = [&] {
      double sum = 0;
      for (const float v : layer.forward(x)) sum += v;
      return sum;
    };
    // Feedback begins with the second step; with a momentum of 1 its share then stays: gains are constants.
    loss();
    loss();
    EXPECT_GT(layer.report.matched, 0);
    const std::vector<Values> gradients = layer.backward(Values(2, 0));
    constexpr float kStep = 2e-3f;
    for (size_t k = 0; k < x.size(); ++k)
      for (size_t i = 0; i < x[k].size(); ++i) {
        const float centre = x[k][i];
        x[k][i] = centre + kStep;
        const double above = loss();
        x[k][i] = centre - kStep;
        const double below = loss();
        x[k][i] = centre;
        const double slope = (above - below) / (2 * kStep);
        // Float losses of a few units leave 1e-6 / 4e-3 of noise; the step, 0.06 pixels, meets no kink here;
        // a difference of 3e-3 would be a wrong factor somewhere.
        ASSERT_NEAR(gradients[k][i], slope, 3e-3 * std::max(1.0, std::fabs(slope)))
            << "input " << k << ", " << i;
      }
  }
}

// A truth of 8x8 and one of 16x16, far apart, each with boxes that say other sizes. What the small one costs,
// and what both do, give the share; its box's slopes then grow by the gain, and nothing else does.
TEST(Retina, FeedbackByHand) {
  const std::string keys =
      "[retina]\nclasses=1\nanchor_ratios=1\nscales_per_octave=1\nanchor_scale=1\nanchor_offset=.5\n"
      "background=.5\nlow_quality=none\n";
  const std::vector<Shape> shapes = {{1, 4, 4, 1}, {1, 2, 2, 1}, {1, 4, 4, 4}, {1, 2, 2, 4}};
  const std::vector<float> small = {.125f, .125f, .25f, .25f, 0}, large = {.75f, .75f, .5f, .5f, 0};
  struct Step {
    LossReport report;
    std::vector<Values> gradients;
  };
  for (const Device device : {Device::cpu, Device::cuda}) {
    const auto second_step = [&](const std::string& more, std::vector<float> truths) {
      SingleLayer layer(keys + more, shapes, device, true, {1, 32, 32, 3});
      layer.truth_counts[0] = int(truths.size()) / 5;
      std::copy(truths.begin(), truths.end(), layer.truths.begin());
      std::vector<Values> x;
      for (const Shape& shape : shapes) x.emplace_back(size_t(shape.size()), .3f);
      x[3].assign(x[3].size(), .5f);
      layer.forward(x);
      layer.forward(x);
      return Step{layer.report, layer.backward(Values(1, 0))};
    };
    std::vector<float> both = small;
    both.insert(both.end(), large.begin(), large.end());
    const Step alone = second_step("", small), plain = second_step("", both);
    ASSERT_EQ(alone.report.matched, 1);
    ASSERT_EQ(plain.report.matched, 2);  // and the loss is divided by that
    const double share = alone.report.box_loss / (2 * plain.report.box_loss);
    EXPECT_NEAR(share, 1.2 / 3.2, 1e-6);  // L1: four times 0.3 and 0.5
    const Step fed =
        second_step("feedback=1\nfeedback_threshold=.5\nfeedback_area=128\nfeedback_strength=4", both);
    const float gain = 1 + 4 * (1 - float(share) / .5f) * (1 - 64 / 128.f);
    EXPECT_GT(gain, 1.4f);
    Values want = plain.gradients[2];
    for (float& slope : want) slope *= gain;
    expect_equal(fed.gradients[2], want, {1e-6f, 1e-6f});
    for (const size_t k : {0, 1, 3}) expect_equal(fed.gradients[k], plain.gradients[k]);
    EXPECT_NEAR(fed.report.box_loss, plain.report.box_loss * (1 + share * (gain - 1)), 1e-5);
  }
}

TEST(Retina, WithoutTruthsEverythingIsBackground) {
  for (const Device device : {Device::cpu, Device::cuda}) {
    const Case& c = kCases[1];
    SingleLayer layer(cfg(c), inputs(c), device, true, kNetwork);
    layer.truth_counts = {0, 0};
    layer.forward(values_for(inputs(c), 3));
    EXPECT_EQ(layer.report.matched, 0);
    EXPECT_EQ(layer.report.box_loss, 0);
    EXPECT_GT(layer.report.class_loss, 0);
    const std::vector<Values> gradients = layer.backward(Values(2, 0));
    for (const float g : gradients[0]) EXPECT_GT(g, 0);  // every class becomes less likely
    EXPECT_EQ(gradients[2], Values(gradients[2].size(), 0));
  }
}

bool all_finite(const std::vector<Values>& all) {
  for (const Values& values : all)
    for (const float v : values)
      if (!std::isfinite(v)) return false;
  return true;
}

// With every assigner: no truth at all, and truths of which none can be learnt.
TEST(Retina, WhatCannotBeLearntTeachesBackground) {
  const float odd[5][5] = {{.5f, .5f, 0, .4f, 0},          // no area
                           {.5f, .5f, .4f, -.1f, 0},       //
                           {1.4f, .5f, .5f, .5f, 0},       // outside
                           {.5f, -.3f, .5f, .5f, 0},       //
                           {NAN, .5f, .5f, INFINITY, 0}};  // no numbers
  for (const Case& c : kCases)
    for (const Device device : {Device::cpu, Device::cuda}) {
      SCOPED_TRACE(c.keys);
      SingleLayer layer(cfg(c), inputs(c), device, true, kNetwork);
      std::copy(&odd[0][0], &odd[0][0] + 25, layer.truths.begin());
      Values losses[2];
      for (const int count : {0, 5}) {
        layer.truth_counts = {count, 0};
        losses[count > 0] = layer.forward(values_for(inputs(c), 3));
        EXPECT_EQ(layer.report.matched, 0);
        EXPECT_EQ(layer.report.box_loss, 0);
        const std::vector<Values> gradients = layer.backward(Values(2, 0));
        EXPECT_TRUE(all_finite(gradients));
        for (const float g : gradients[0]) EXPECT_GE(g, 0);  // classes become less likely
        EXPECT_EQ(gradients[2], Values(gradients[2].size(), 0));
        EXPECT_EQ(gradients[3], Values(gradients[3].size(), 0));
      }
      EXPECT_TRUE(all_finite({losses[0]}));
      EXPECT_EQ(losses[0], losses[1]);
    }
}

// A box that hangs over the image is learnt as it is.
TEST(Retina, TruthsThatHangOverTheImageAreLearnt) {
  for (const Case& c : kCases)
    for (const Device device : {Device::cpu, Device::cuda}) {
      SCOPED_TRACE(c.keys);
      SingleLayer layer(cfg(c), inputs(c), device, true, kNetwork);
      layer.truth_counts = {2, 0};
      const float rows[2][5] = {{.9f, .9f, .6f, .6f, 0}, {.1f, .45f, .5f, 1.5f, 0}};
      std::copy(&rows[0][0], &rows[0][0] + 10, layer.truths.begin());
      EXPECT_TRUE(all_finite({layer.forward(values_for(inputs(c), 3))}));
      EXPECT_TRUE(all_finite(layer.backward(Values(2, 0))));
    }
}

// Without strides= a level's stride is the whole quotient, here 34 / 4 = 8: the last two pixels have no cell.
TEST(Retina, AStrideIsTheWholeQuotient) {
  const Case c = {"classes=2\nanchor_ratios=1\nscales_per_octave=1\nanchor_scale=1\nanchor_offset=.5", 1, 2};
  SingleLayer layer(cfg(c), inputs(c), Device::cpu, false, {2, 34, 34, 3});
  std::vector<Values> x;
  for (const Shape& shape : inputs(c)) x.emplace_back(size_t(shape.size()), 0.0f);
  const Values y = layer.forward(x);
  expect_equal({y.begin() + 7 * 15, y.begin() + 7 * 15 + 4}, {28 / 34.f, 28 / 34.f, 8 / 34.f, 8 / 34.f},
               {1e-6f, 1e-6f});
}

TEST(Retina, RowsAreDecodedBoxesInUnitsOfTheInput) {
  const Case c = {"classes=2\nanchor_ratios=1\nscales_per_octave=1\nanchor_scale=1", 1, 2};
  for (const Device device : {Device::cpu, Device::cuda}) {
    SingleLayer layer(cfg(c), inputs(c), device, false, kNetwork);
    std::vector<Values> x;
    for (const Shape& shape : inputs(c)) x.emplace_back(size_t(shape.size()), 0.0f);
    x[0][2 * 5] = std::log(3.0f);  // class 0 of the cell in row 1, column 1
    x[2][4 * 5] = 0.5f;            // half an anchor to the right
    x[2][4 * 5 + 3] = std::log(2.0f);
    const Values y = layer.forward(x);
    ASSERT_EQ(layer.output(), (Shape{2, 1, 20, 7}));
    // The anchor is 8x8 about (8, 8), as its centre lies in the corner of the cell.
    expect_equal({y.begin() + 35, y.begin() + 42}, {12 / 32.f, 8 / 32.f, 8 / 32.f, 16 / 32.f, 1, .75f, .5f},
                 {1e-6f, 1e-6f});
  }
  SingleLayer layer(cfg(c), inputs(c), Device::cpu, false, kNetwork);
  layer.forward(values_for(inputs(c), 9));
  Candidates found;
  layer.layer().head()->decode(layer.layer().y, 1, 0.6f, found);
  for (const float p : found.probabilities) EXPECT_TRUE(p == 0 || p > 0.6f);
  EXPECT_GT(found.count(), 0);
  EXPECT_LT(found.count(), 20);
}

void expect_error(const std::string& keys, std::vector<Shape> shapes, const std::string& part) {
  try {
    SingleLayer layer("[retina]\n" + keys + "\n", shapes, Device::cpu, true, kNetwork);
    FAIL() << "accepted: " << keys;
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find(part), std::string::npos) << e.what();
  }
}

TEST(Retina, ErrorsNameTheLevel) {
  const std::string one = "classes=2\nanchor_ratios=1\nscales_per_octave=1";
  expect_error(one, {{2, 4, 4, 2}}, "from lists 1 maps, but needs 2 for each level");
  expect_error(one, {{2, 4, 4, 3}, {2, 4, 4, 4}},
               "needs 2 channels (1 anchors x 2 classes); the map of level 0 has 3");
  expect_error(one, {{2, 4, 4, 2}, {2, 2, 2, 4}}, "all maps of a level have one size");
  expect_error(one, {{2, 2, 2, 2}, {2, 4, 4, 2}, {2, 2, 2, 4}, {2, 4, 4, 4}}, "list the finest first");
  expect_error(one + "\nstrides=16", {{2, 4, 4, 2}, {2, 4, 4, 4}},
               "level 0 has 4x4 cells, which is not a stride of 16");
  expect_error(one + "\nanchor_sizes=8,16",
               {{2, 4, 4, 2}, {2, 2, 2, 2}, {2, 1, 1, 2}, {2, 4, 4, 4}, {2, 2, 2, 4}, {2, 1, 1, 4}},
               "anchor_sizes must list 3 numbers");
  expect_error(one + "\nforeground=.2\nbackground=.4", {{2, 4, 4, 2}, {2, 4, 4, 4}},
               "must not be above foreground");
  expect_error(one + "\ncoder=distances", {{2, 4, 4, 2}, {2, 4, 4, 4}},
               "coder=distances needs one of the boxes");
}

}  // namespace
}  // namespace osprey
