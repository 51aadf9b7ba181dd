// [ssd]: its two devices against each other, its gradients against differences, its boxes and its errors.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "cuda/emulation.h"
#include "layers/heads/head.h"
#include "tests/layers/harness.h"

namespace osprey {
namespace {

constexpr Shape kNetwork = {2, 32, 32, 3};

struct Case {
  std::string keys;
  int classes;
  int boxes[2];  // of a cell, on each level
};

const Case kCases[] = {
    {"classes=1\nmin_sizes=8,14", 1, {4, 4}},
    {"classes=3\nmin_sizes=6,14\nmax_sizes=10,20\nratios=2|2,3\nsmooth_l1_beta=.3\nbox_weight=2", 3, {4, 6}},
    {"classes=40\nmin_sizes=8,16\nclip=boxes\nnegatives=2\nvariances=.2,.5\nforeground=.4", 40, {4, 4}},
    {"classes=2\nmin_sizes=10,40\nclip=sizes\nbackground=.2\nmatching=pairs\nnegatives=1000\noffset=.25",
     2,
     {4, 4}},
};

std::string cfg(const Case& c) { return "[ssd]\nmax=5\n" + c.keys + "\n"; }

// Two levels of 4x4 and 2x2 cells, strides 8 and 16.
std::vector<Shape> inputs(const Case& c, int images = 2) {
  std::vector<Shape> shapes;
  for (const int channels : {1 + c.classes, 4}) {
    shapes.push_back({images, 4, 4, c.boxes[0] * channels});
    shapes.push_back({images, 2, 2, c.boxes[1] * channels});
  }
  return shapes;
}

std::vector<Values> values_for(const std::vector<Shape>& shapes, uint64_t seed) {
  std::vector<Values> all;
  for (size_t k = 0; k < shapes.size(); ++k) all.push_back(random_values(shapes[k], seed + k));
  return all;
}

// Some truths in the first image, of which one has no area; none in the second.
void give_truths(SingleLayer& layer, int classes) {
  layer.truth_counts = {4, 0};
  const float rows[4][5] = {{.3f, .3f, .4f, .5f, 0},
                            {.7f, .6f, .4f, .3f, float(classes - 1)},
                            {.5f, .5f, 0, .2f, 0},
                            {.8f, .2f, .25f, .3f, float(classes / 2)}};
  std::copy(&rows[0][0], &rows[0][0] + 20, layer.truths.begin());
}

struct Outcome {
  Values y;
  std::vector<Values> gradients, overwritten;
  LossReport report;
};

Outcome run(const Case& c, Device device, bool training) {
  SingleLayer layer(cfg(c), inputs(c), device, training, kNetwork);
  if (training) give_truths(layer, c.classes);
  Outcome result;
  result.y = layer.forward(values_for(inputs(c), 3));
  if (!training) return result;
  result.report = layer.report;
  std::vector<Values> before;
  for (const Shape& shape : inputs(c)) before.push_back(random_values(shape, 77));
  const Values dy(size_t(layer.output().size()), 0);
  result.gradients = layer.backward(dy, before);
  result.overwritten = layer.backward_overwriting(dy);
  for (size_t k = 0; k < before.size(); ++k)
    for (size_t i = 0; i < before[k].size(); ++i)
      EXPECT_NEAR(result.gradients[k][i], before[k][i] + result.overwritten[k][i], 1e-6);
  return result;
}

TEST(Ssd, KernelsAgreeWithTheCpu) {
  const Tolerance tolerance = {2e-5f, 2e-6f};  // exponentials of two libraries, sums in another order
  for (const Case& c : kCases)
    for (const bool training : {false, true}) {
      SCOPED_TRACE(c.keys);
      const Outcome want = run(c, Device::cpu, training);
      for (const auto order :
           {emulation::Order::forward, emulation::Order::reverse, emulation::Order::shuffled}) {
        emulation::set_order(order);
        const Outcome got = run(c, Device::cuda, training);
        expect_equal(got.y, want.y, tolerance);
        for (size_t k = 0; k < got.gradients.size(); ++k)
          expect_equal(got.gradients[k], want.gradients[k], tolerance);
        EXPECT_EQ(got.report.matched, want.report.matched);
        EXPECT_NEAR(got.report.loss, want.report.loss, 1e-5 * (1 + want.report.loss));
        EXPECT_NEAR(got.report.iou, want.report.iou, 1e-4);
      }
      emulation::set_order(emulation::Order::forward);
    }
}

TEST(Ssd, GradientsAreSlopesOfTheLoss) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.keys);
    const std::vector<Shape> shapes = inputs(c);
    std::vector<Values> x = values_for(shapes, 3);
    SingleLayer layer(cfg(c), shapes, Device::cpu, true, kNetwork);
    give_truths(layer, c.classes);
    const auto loss = [&] {
      double sum = 0;
      for (const float v : layer.forward(x)) sum += v;
      return sum;
    };
    const double total = loss();
    EXPECT_GT(layer.report.matched, 2);
    EXPECT_NEAR(layer.report.loss, total, 1e-5 * total);
    const std::vector<Values> gradients = layer.backward(Values(2, 0));
    constexpr float kStep = 2e-3f;
    for (size_t k = 0; k < x.size(); ++k)
      for (size_t i = 0; i<x[k].size(); i += c.classes> 9 ? 7 : 1) {
        const float centre = x[k][i];
        x[k][i] = centre + kStep;
        const double above = loss();
        x[k][i] = centre - kStep;
        const double below = loss();
        x[k][i] = centre;
        const double slope = (above - below) / (2 * kStep);
        // Float losses of some units leave 1e-6 / 4e-3 of noise. No row that is mined changes places with
        // another within the step, for these inputs; a wrong factor would be off by more than 5e-3.
        ASSERT_NEAR(gradients[k][i], slope, 5e-3 * std::max(0.2, std::fabs(slope)))
            << "input " << k << ", " << i;
      }
  }
}

// Of 80 rows, those that are matched and for each of them three of the background learn their class.
TEST(Ssd, LearnsFromThreeHardNegativesForEachMatch) {
  const Case& c = kCases[0];
  SingleLayer layer(cfg(c), inputs(c), Device::cpu, true, kNetwork);
  give_truths(layer, c.classes);
  layer.forward(values_for(inputs(c), 3));
  const std::vector<Values> gradients = layer.backward(Values(2, 0));
  int learning = 0, second_image = 0;
  for (int k = 0; k < 2; ++k)
    for (size_t i = 0; i < gradients[k].size(); i += 2)
      if (gradients[k][i] != 0) ++(i < gradients[k].size() / 2 ? learning : second_image);
  EXPECT_EQ(learning, 4 * layer.report.matched);
  EXPECT_EQ(second_image, 0);  // without truths there is nothing to match
}

TEST(Ssd, WithoutTruthsNothingIsLearnt) {
  for (const Device device : {Device::cpu, Device::cuda}) {
    const Case& c = kCases[1];
    SingleLayer layer(cfg(c), inputs(c), device, true, kNetwork);
    layer.truth_counts = {0, 0};
    EXPECT_EQ(layer.forward(values_for(inputs(c), 3)), Values(2, 0));
    EXPECT_EQ(layer.report.matched, 0);
    EXPECT_EQ(layer.report.loss, 0);
    for (const Values& gradient : layer.backward(Values(2, 0)))
      EXPECT_EQ(gradient, Values(gradient.size(), 0));
  }
}

TEST(Ssd, RowsAreDecodedBoxesInUnitsOfTheInput) {
  const Case& c = {"classes=2\nmin_sizes=8,16", 2, {4, 4}};
  for (const Device device : {Device::cpu, Device::cuda}) {
    SingleLayer layer(cfg(c), inputs(c), device, false, kNetwork);
    std::vector<Values> x;
    for (const Shape& shape : inputs(c)) x.emplace_back(size_t(shape.size()), 0.0f);
    const int row = 4 * 5;  // the small square of the cell in row 1, column 1: 8x8 about (12, 12)
    x[0][3 * row + 2] = std::log(2.0f);      // class 1: the background is class 0 of the map
    x[2][4 * row] = 5;                       // half a box to the right, of variance 0.1
    x[2][4 * row + 3] = 5 * std::log(2.0f);  // twice as high, of variance 0.2
    const Values y = layer.forward(x);
    ASSERT_EQ(layer.output(), (Shape{2, 1, 80, 7}));
    expect_equal({y.begin() + 7 * row, y.begin() + 7 * row + 7},
                 {16 / 32.f, 12 / 32.f, 8 / 32.f, 16 / 32.f, 1, .25f, .5f}, {1e-6f, 1e-6f});
  }
}

TEST(Ssd, DecodesTheRowsAboveTheThreshold) {
  const Case& c = kCases[1];
  SingleLayer layer(cfg(c), inputs(c), Device::cpu, false, kNetwork);
  layer.forward(values_for(inputs(c), 9));
  Candidates found;
  layer.layer().head()->decode(layer.layer().y, 1, 0.5f, found);
  EXPECT_EQ(found.classes, 3);
  EXPECT_GT(found.count(), 0);
  EXPECT_LT(found.count(), 88);
  for (const float p : found.probabilities) EXPECT_TRUE(p == 0 || p > 0.5f);
}

// No truths at all, or none that can be learnt: Caffe's loss is then 0, since negatives are counted in
// positives.
TEST(Ssd, WithoutTruthsThereIsNoLoss) {
  const float odd[3][5] = {{.5f, .5f, 0, .4f, 0}, {1.4f, .5f, .5f, .5f, 0}, {NAN, .5f, .5f, .5f, 0}};
  for (const Case& c : kCases)
    for (const Device device : {Device::cpu, Device::cuda})
      for (const int count : {0, 3}) {
        SCOPED_TRACE(c.keys);
        SingleLayer layer(cfg(c), inputs(c), device, true, kNetwork);
        std::copy(&odd[0][0], &odd[0][0] + 15, layer.truths.begin());
        layer.truth_counts = {count, 0};
        layer.forward(values_for(inputs(c), 3));
        EXPECT_EQ(layer.report.matched, 0);
        EXPECT_EQ(layer.report.loss, 0);
        for (const Values& gradient : layer.backward(Values(size_t(layer.output().size()), 0)))
          EXPECT_EQ(gradient, Values(gradient.size(), 0));
      }
}

// 38, 19, 10, 5, 3 and 1 cells a side with 4, 6, 6, 6, 4 and 4 boxes each.
TEST(Ssd, Has8732BoxesInTheNetworkOf300) {
  const int sides[] = {38, 19, 10, 5, 3, 1}, boxes[] = {4, 6, 6, 6, 4, 4};
  std::vector<Shape> shapes;
  for (const int channels : {21, 4})
    for (int l = 0; l < 6; ++l) shapes.push_back({1, sides[l], sides[l], boxes[l] * channels});
  SingleLayer layer(
      "[ssd]\nclasses=20\nstrides=8,16,32,64,100,300\nmin_sizes=30,60,111,162,213,264\n"
      "ratios=2|2,3|2,3|2,3|2|2\n",
      shapes, Device::cpu, false, {1, 300, 300, 3});
  EXPECT_EQ(layer.output(), (Shape{1, 1, 8732, 25}));
  std::vector<Values> x;
  for (const Shape& shape : shapes) x.emplace_back(size_t(shape.size()), 0.0f);
  const Values y = layer.forward(x);
  // The last level's large square: sqrt(264 * 315) about the middle, 315 being as far from 264 as 213 is.
  expect_equal({y.end() - 75, y.end() - 71},
               {.5f, .5f, std::sqrt(264.f * 315) / 300, std::sqrt(264.f * 315) / 300}, {1e-6f});
}

void expect_refused(const std::string& keys, std::vector<Shape> shapes, const std::string& part) {
  try {
    SingleLayer layer("[ssd]\n" + keys + "\n", shapes, Device::cpu, true, kNetwork);
    FAIL() << "accepted: " << keys;
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find(part), std::string::npos) << e.what();
  }
}

TEST(Ssd, ErrorsNameTheKeyAndTheLevel) {
  const Case& c = kCases[0];
  const std::vector<Shape> good = inputs(c);
  std::vector<Shape> bad = good;
  bad[3].c = 12;
  expect_refused("classes=1\nmin_sizes=8,14", bad,
                 "needs 16 channels (4 boxes x 4); the box map of level 1 has 12: set its filters=16");
  expect_refused("classes=2\nmin_sizes=8,14", good,
                 "needs 12 channels (4 boxes x (1 + 2 classes)); the class map of level 0 has 8");
  expect_refused("classes=1", good, "min_sizes must be given");
  expect_refused("classes=1\nmin_sizes=8", good, "min_sizes must list 2 numbers, one for each level, not 1");
  expect_refused("classes=1\nmin_sizes=20,8", good, "min_sizes must grow, or max_sizes be given");
  expect_refused("classes=1\nmin_sizes=8,14\nratios=2|2|2", good, "for each of the 2 levels, not 3");
  expect_refused("classes=1\nmin_sizes=8,14\nratios=2,x", good, "`x` is not a ratio");
  expect_refused("classes=1\nmin_sizes=8,14\nratios=2,", good, "`` is not a ratio");
  expect_refused("classes=1\nmin_sizes=8,14\nvariances=.1", good, "variances must list 2 numbers, not 1");
}

}  // namespace
}  // namespace osprey
