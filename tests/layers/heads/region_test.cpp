#include <gtest/gtest.h>

#include <cmath>

#include "layers/heads/head.h"
#include "tests/data/temporary.h"
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

// Two roots, of which the first has three children, of which the second has two.
constexpr const char* kTree = "a -1\nb -1\nc 0\nd 0\ne 0\nf 3\ng 3\n";
const std::string kOfTree = "[region]\nclasses=7\nnum=1\nanchors=1,2\n";
constexpr Shape kTreeCell = {1, 1, 1, 12};
// a, b; c, d, e; f, g: the probabilities below are 3/4, 1/4; 1/8, 3/4, 1/8; 1/2, 1/2. Objectness: 3/4.
const Values kTreeRow = {0, 0, 0, 0, 1.0986123f, 1.0986123f, 0, 0, 1.7917595f, 0, 5, 5};

TEST(Region, ATreeHasASoftmaxForEachGroupOfSiblings) {
  const Temporary folder;
  for (Device device : {Device::cpu, Device::cuda}) {
    SingleLayer layer(kOfTree + "tree=" + folder.write("7.tree", kTree), {kTreeCell}, device);
    expect_equal(layer.forward(kTreeRow), {0, 0, 0, 0, .75f, .75f, .25f, .125f, .75f, .125f, .5f, .5f},
                 {1e-6f, 1e-6f});
  }
}

// d is 9/16, f and g are 9/32 each.
TEST(Region, ATreeNamesTheMostSpecialClassThatIsLikely) {
  const Temporary folder;
  SingleLayer layer(kOfTree + "tree=" + folder.write("7.tree", kTree), {kTreeCell}, Device::cpu, false);
  layer.forward(kTreeRow);
  const auto listed = [&](Thresholds thresholds) {
    Candidates found;
    layer.layer().head()->decode(layer.layer().y, 0, thresholds, found);
    for (int c = 0; c < 7 && found.count(); ++c)
      if (found.of(0)[c] > 0) return std::pair(c, found.of(0)[c]);
    return std::pair(-1, 0.f);
  };
  const auto expect_listed = [&](Thresholds thresholds, int class_id, float score) {
    EXPECT_EQ(listed(thresholds).first, class_id);
    EXPECT_NEAR(listed(thresholds).second, score, 1e-6);
  };
  expect_listed({.25f}, 3, .5625f);        // d: its children are at most 0.5
  expect_listed({.25f, .2f}, 5, .28125f);  // f, the first of equals
  expect_listed({.25f, .6f}, 0, .75f);
  expect_listed({.25f, .75f}, -1, 0);  // not even a
  expect_listed({.6f, .5f}, -1, 0);    // d is likely, but does not score 0.6
  expect_listed({.8f, .2f}, -1, 0);    // objectness does not, either
}

TEST(Region, AMapListsClassesOfTheTree) {
  const Temporary folder;
  SingleLayer layer(
      kOfTree + "tree=" + folder.write("7.tree", kTree) + "\nmap=" + folder.write("3.map", "6\n0\n4\n"),
      {kTreeCell}, Device::cpu, false);
  layer.forward(kTreeRow);
  Candidates found;
  layer.layer().head()->decode(layer.layer().y, 0, .2f, found);
  EXPECT_EQ(layer.layer().head()->classes(), 3);
  ASSERT_EQ(found.count(), 1);
  expect_equal(found.probabilities, {.75f * .28125f, .75f * .75f, 0}, {1e-6f, 1e-6f});
}

// The truth g teaches f and g, c d e, and a and b: each true class against its siblings. That is the slope of
// the cross entropies of the three groups, here by central differences (tolerance as everywhere).
TEST(Region, ATreeTeachesTheAncestorsToo) {
  const Temporary folder;
  for (Device device : {Device::cpu, Device::cuda}) {
    SingleLayer layer(kOfTree + "bias_match=1\ntree=" + folder.write("7.tree", kTree), {kTreeCell}, device);
    layer.step.seen = 20000;
    layer.truth_counts[0] = 1;
    const auto teach = [&](float class_id) {
      const Values truth = {.5f, .5f, .9f, .9f, class_id};
      std::copy(truth.begin(), truth.end(), layer.truths.begin());
      return layer.forward(kTreeRow);
    };
    const auto loss = [&](const Values& x) {
      const Values y = layer.forward(x);
      return -std::log(double(y[5])) - std::log(double(y[8])) - std::log(double(y[11]));
    };
    teach(6);
    const Values slopes = layer.backward_overwriting(Values(12, 0))[0];
    for (int e = 5; e < 12; ++e) {
      Values up = kTreeRow, down = kTreeRow;
      up[e] += 1e-2f;
      down[e] -= 1e-2f;
      EXPECT_NEAR(slopes[e], (loss(up) - loss(down)) / 2e-2, 1e-3) << e;
    }
    teach(1);  // b has no children: what is below a learns nothing
    const Values of_root = layer.backward_overwriting(Values(12, 0))[0];
    EXPECT_NEAR(of_root[6], .25f - 1, 1e-6);
    for (int e = 7; e < 12; ++e) EXPECT_EQ(of_root[e], 0) << e;
  }
}

TEST(Region, BackgroundIsAClassMore) {
  const std::string cfg =
      "[region]\nclasses=2\nnum=1\nanchors=1,2\nsoftmax=1\nbackground=1\n"
      "object_scale=2\nnoobject_scale=.5";
  SingleLayer layer(cfg, {{1, 1, 1, 7}});
  layer.step.seen = 20000;
  const Values x = {0, 0, 0, 0, std::log(2.f), 0, 0};
  expect_equal(layer.forward(x), {0, 0, 0, 0, .5f, .25f, .25f}, kFloat);
  const View<const float> delta = layer.layer().head()->delta();
  EXPECT_NEAR(delta[4], .5f * (1 - .5f), 1e-6);
  layer.truth_counts[0] = 1;
  const Values truth = {.5f, .5f, .9f, .9f, 1};
  std::copy(truth.begin(), truth.end(), layer.truths.begin());
  layer.forward(x);
  EXPECT_NEAR(delta[4], 2 * -.5f, 1e-6);
  EXPECT_NEAR(delta[5], -.25f, 1e-6);
  EXPECT_NEAR(delta[6], .75f, 1e-6);
  Candidates found;
  layer.layer().head()->decode(layer.layer().y, 0, .2f, found);
  expect_equal(found.probabilities, {.25f, .25f}, kFloat);
}

TEST(Region, ExplainsWhatIsWrongWithItsSection) {
  expect_error(
      "[region]\nclasses=20\nnum=5",
      "test.cfg:1: [region] needs 125 channels (5 anchors x (5 + 20 classes)); the layer before has 8: "
      "set its filters=125",
      {{1, 4, 4, 8}});
  expect_error(kSmall + "coords=8", "test.cfg:6: [region] coords must be between 4 and 4, not 8");
  expect_error(kSmall + "tree=9k.tree", "[region] tree=9k.tree: there is no such file", {kFourCells});
  expect_error(kSmall + "map=9k.map", "[region] map=9k.map: there is no such file", {kFourCells});
  const Temporary folder;
  expect_error(kSmall + "tree=" + folder.write("a.tree", "a -1\nb -1\nc 1\n"),
               "a.tree has 3 classes, but classes=2", {kFourCells});
  const std::string tree = "tree=" + folder.write("b.tree", "a -1\nb -1\n");
  expect_error(kSmall + "focal_loss=1\n" + tree,
               "test.cfg:6: [region] focal_loss does not know classes of a tree", {kFourCells});
  expect_error("[region]\nclasses=2\nbackground=1", "test.cfg:3: [region] background=1 needs softmax=1",
               {kFourCells});
  expect_error(kSmall + "background=1\nrescore=1", "test.cfg:6: [region] background=1 has no objectness",
               {kFourCells});
  expect_error("[region]\nclasses=2\nnum=2\nanchors=1,1,2",
               "test.cfg:4: [region] anchors must list 4 numbers (num=2 pairs), not 3", {{1, 2, 2, 14}});
}

}  // namespace
}  // namespace osprey
