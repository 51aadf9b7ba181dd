#include <gtest/gtest.h>

#include <cmath>

#include "layers/heads/head.h"
#include "tests/layers/harness.h"

namespace osprey {
namespace {

const std::string kSmall = "[region]\nclasses=2\nnum=1\nanchors=1,2\nsoftmax=1\n";
constexpr Shape kFourCells = {1, 2, 2, 7};
constexpr Tolerance kFloat = {1e-6f, 1e-6f};  // a few units in the last place

TEST(Region, KeepsBoxesRawAndTakesTheSoftmaxOfClasses) {
  SingleLayer layer(kSmall, {{1, 1, 1, 7}});
  //                           x  y  w   h  objectness    classes
  expect_equal(layer.forward({-2, 3, .5f, 1, 1.0986123f, 0, 1.0986123f}), {-2, 3, .5f, 1, .75f, .25f, .75f},
               kFloat);
}

TEST(Region, WithoutSoftmaxClassesStayAsTheyAre) {
  SingleLayer layer("[region]\nclasses=2\nnum=1\nanchors=1,2", {{1, 1, 1, 7}});
  expect_equal(layer.forward({0, 0, 0, 0, 0, -4, 7}), {0, 0, 0, 0, .5f, -4, 7}, kFloat);
}

TEST(Region, DecodesByHand) {
  SingleLayer layer(kSmall, {kFourCells}, Device::cpu, false);
  Values x(28, -9);
  const Values cell = {0, 1.0986123f, std::log(2.f), 0, 1.3862944f, 0, 1.0986123f};  // row 1, column 1
  std::copy(cell.begin(), cell.end(), x.begin() + 21);
  layer.forward(x);
  Candidates found;
  layer.layer().head()->decode(layer.layer().y, 0, .3f, found);
  ASSERT_EQ(found.count(), 1);
  // (1 + 0.5) / 2, (1 + 0.75) / 2, 2 * 1 / 2 and 2 / 2: anchors are in cells.
  const CentreBox box = found.boxes[0];
  expect_equal({box.x, box.y, box.w, box.h}, {.75f, .875f, 1, 1}, kFloat);
  EXPECT_EQ(found.objectness[0], 1);  // Darknet's; the probabilities have it in them
  EXPECT_EQ(found.of(0)[0], 0);       // 0.8 * 0.25 is not above 0.3
  EXPECT_FLOAT_EQ(found.of(0)[1], .6f);
}

TEST(Region, ThresholdIsStrict) {
  SingleLayer layer("[region]\nclasses=1\nnum=1\nanchors=1,2", {{1, 1, 1, 6}}, Device::cpu, false);
  layer.forward({0, 0, 0, 0, 0, 1});  // 0.5 * 1
  Candidates found;
  layer.layer().head()->decode(layer.layer().y, 0, .5f, found);
  EXPECT_EQ(found.count(), 0);
  layer.layer().head()->decode(layer.layer().y, 0, .4999f, found);
  EXPECT_EQ(found.count(), 1);
}

TEST(Region, ClassfixMinusOneHidesUnlikelyObjects) {
  const std::string cfg = "[region]\nclasses=1\nnum=1\nanchors=1,2\nclassfix=";
  for (const auto& [classfix, count] : {std::pair("0", 1), std::pair("-1", 0)}) {
    SingleLayer layer(cfg + classfix, {{1, 1, 1, 6}}, Device::cpu, false);
    layer.forward({0, 0, 0, 0, -.1f, 2});  // objectness 0.475
    Candidates found;
    layer.layer().head()->decode(layer.layer().y, 0, .5f, found);
    EXPECT_EQ(found.count(), count);
  }
}

TEST(Region, TheFirst12800ImagesLearnTheAnchors) {
  SingleLayer layer(kSmall, {kFourCells});
  const View<const float> delta = layer.layer().head()->delta();
  const Values x = {1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
  layer.step.seen = 12799;
  layer.forward(x);
  const float centre = 1 / (1 + std::exp(-1.f));
  EXPECT_NEAR(delta[0], .01f * (.5f - centre) * centre * (1 - centre), 1e-8);
  EXPECT_NEAR(delta[2], .01f * (0 - 2), 1e-8);
  layer.step.seen = 12800;
  layer.forward(x);
  EXPECT_EQ(delta[0], 0);
  EXPECT_EQ(delta[2], 0);
}

TEST(Region, ExplainsWhatIsWrongWithItsSection) {
  expect_error(
      "[region]\nclasses=20\nnum=5",
      "test.cfg:1: [region] needs 125 channels (5 anchors x (5 + 20 classes)); the layer before has 8: "
      "set its filters=125",
      {{1, 4, 4, 8}});
  expect_error(kSmall + "coords=8", "test.cfg:6: [region] coords must be between 4 and 4, not 8");
  expect_error(kSmall + "tree=9k.tree", "test.cfg:6: [region] tree is not supported yet", {kFourCells});
  expect_error(kSmall + "map=9k.map", "test.cfg:6: [region] map is not supported yet", {kFourCells});
  expect_error("[region]\nclasses=2\nnum=2\nanchors=1,1,2",
               "test.cfg:4: [region] anchors must list 4 numbers (num=2 pairs), not 3", {{1, 2, 2, 14}});
}

}  // namespace
}  // namespace osprey
