#include <gtest/gtest.h>

#include <cmath>

#include "layers/heads/head.h"
#include "tests/layers/harness.h"

namespace osprey {
namespace {

const std::string kSmall = "[Gaussian_yolo]\nclasses=1\nnum=1\nanchors=16,8\n";
constexpr Shape kOneCell = {1, 1, 1, 10};
constexpr float kThree = 1.0986123f;          // its logistic is 3/4
constexpr Tolerance kFloat = {1e-6f, 1e-6f};  // a few units in the last place

Candidates decoded(SingleLayer& layer, float threshold) {
  Candidates found;
  layer.layer().head()->decode(layer.layer().y, 0, threshold, found);
  return found;
}

TEST(GaussianYolo, ActivatesAllButWidthAndHeight) {
  SingleLayer layer(kSmall + "scale_x_y=2", {kOneCell});
  expect_equal(layer.forward({0, kThree, kThree, 0, -3, -kThree, 3, 0, kThree, 0}),
               {.5f, .75f, 1, .5f, -3, .25f, 3, .5f, .75f, .5f}, kFloat);
}

TEST(GaussianYolo, DeviationsTakeFromTheScore) {
  SingleLayer layer(kSmall, {kOneCell}, Device::cpu, false);
  //             x  sx      y  sy  w  sw       h  sh objectness class
  layer.forward({0, kThree, 0, 0, 0, -kThree, 0, 0, kThree, kThree});
  const Candidates found = decoded(layer, .2f);
  ASSERT_EQ(found.count(), 1);
  EXPECT_FLOAT_EQ(found.of(0)[0], .75f * .75f * .5f);  // deviations of 3/4, 1/2, 1/4, 1/2: 1/2 on average
  EXPECT_EQ(decoded(layer, .3f).of(0)[0], 0);          // 0.28; objectness 0.75 is above 0.3, not 0.76
  EXPECT_EQ(decoded(layer, .76f).count(), 0);
}

TEST(GaussianYolo, BoxesLieAtTheirPoint) {
  for (const auto& [point, x, y] :
       {std::tuple("center", .5f, .5f), {"left_top", .75f, .625f}, {"right_bottom", .25f, .375f}}) {
    SingleLayer layer(kSmall + "yolo_point=" + point, {kOneCell}, Device::cpu, false);
    layer.forward({0, 0, 0, 0, 0, 0, 0, 0, kThree, kThree});
    const Candidates found = decoded(layer, .1f);
    ASSERT_EQ(found.count(), 1);
    const CentreBox b = found.boxes[0];
    expect_equal({b.x, b.y, b.w, b.h}, {x, y, .5f, .25f}, kFloat);
  }
}

// The slopes of minus ln N(truth; mean, deviation) for a box in the middle of its cell, but with the numbers
// 0.3 and 1e-9 of the authors' code, by hand: t - x = 0.25, deviation 1/2.
TEST(GaussianYolo, LearnsByTheDensityOfTheTruth) {
  SingleLayer layer(kSmall + "iou_normalizer=1\nuc_normalizer=.5", {kOneCell});
  layer.truth_counts[0] = 1;
  const Values truth = {.75f, .5f, .5f, .25f, 0};
  std::copy(truth.begin(), truth.end(), layer.truths.begin());
  layer.forward(Values(10, 0));
  const View<const float> d = layer.layer().head()->delta();
  const double weight = 2 - .125, e = .25 / .5;
  EXPECT_NEAR(d[0], weight * .5 * e / .5, 1e-6);
  EXPECT_NEAR(d[1], .5 * weight * .5 * (e * e / .5 - 1 / .8), 1e-6);
  EXPECT_NEAR(d[2], 0, 1e-6);
  EXPECT_NEAR(d[3], -.5 * weight * .5 / .8, 1e-6);
  EXPECT_NEAR(d[8], .5, 1e-6);
  EXPECT_NEAR(d[9], .5, 1e-6);
}

// A logistic of -100 is 0 in a float: what divides by it must not spoil the row.
TEST(GaussianYolo, ADeviationOfNothingIsBounded) {
  for (Device device : {Device::cpu, Device::cuda}) {
    SingleLayer layer(kSmall + "max_delta=2", {kOneCell}, device);
    layer.truth_counts[0] = 1;
    const Values truth = {.75f, .5f, .5f, .25f, 0};
    std::copy(truth.begin(), truth.end(), layer.truths.begin());
    layer.forward({0, -100, 0, -100, 0, -100, 0, 0, 0, 0});
    const Values slopes = layer.backward_overwriting(Values(10, 0))[0];
    for (float slope : slopes) EXPECT_LE(std::fabs(slope), 2);
  }
}

TEST(GaussianYolo, TellsHowDuplicatesAreFound) {
  const auto kind_of = [](const std::string& kind) {
    SingleLayer layer(kSmall + "nms_kind=" + kind, {kOneCell});
    return layer.layer().head()->nms().kind;
  };
  EXPECT_EQ(kind_of("default"), NmsKind::standard);
  EXPECT_EQ(kind_of("cornersnms"), NmsKind::standard);
  EXPECT_EQ(kind_of("greedynms"), NmsKind::greedy);
  EXPECT_EQ(kind_of("diounms"), NmsKind::diou_power);
}

TEST(GaussianYolo, ExplainsWhatIsWrongWithItsSection) {
  expect_error("[Gaussian_yolo]\nclasses=10\nnum=3",
               "test.cfg:1: [Gaussian_yolo] needs 57 channels (3 masks x (9 + 10 classes)); the layer before "
               "has 4: set its filters=57");
  expect_error(kSmall + "new_coords=1", "unknown key `new_coords`");
  expect_error(kSmall + "focal_loss=1", "unknown key `focal_loss`");
  expect_error(kSmall + "iou_loss=nwd", "iou_loss must be one of mse, iou, giou, diou, ciou, eiou");
  expect_error(kSmall + "yolo_point=centre", "did you mean `center`?");
}

}  // namespace
}  // namespace osprey
