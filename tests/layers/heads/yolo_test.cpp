#include <gtest/gtest.h>

#include <cmath>

#include "layers/heads/head.h"
#include "tests/data/temporary.h"
#include "tests/layers/harness.h"

namespace osprey {
namespace {

// One class, two anchors of a 32x32 network, of which the second is this head's.
const std::string kSmall = "[yolo]\nclasses=1\nnum=2\nmask=1\nanchors=4,4, 16,8\n";
constexpr Shape kOneCell = {1, 1, 1, 6}, kFourCells = {1, 2, 2, 6};
constexpr Tolerance kFloat = {1e-6f, 1e-6f};  // a few units in the last place

Candidates decoded(SingleLayer& layer, float threshold) {
  Candidates found;
  layer.layer().head()->decode(layer.layer().y, 0, threshold, found);
  return found;
}

void expect_box(CentreBox got, CentreBox want) {
  expect_equal({got.x, got.y, got.w, got.h}, {want.x, want.y, want.w, want.h}, kFloat);
}

void give_truth(SingleLayer& layer, std::vector<float> box) {
  layer.truth_counts[0] = int(box.size()) / 5;
  std::copy(box.begin(), box.end(), layer.truths.begin());
}

// The slopes that the loss sends into the input.
Values delta(SingleLayer& layer) {
  const View<const float> d = layer.layer().head()->delta();
  return {d.begin(), d.end()};
}

TEST(Yolo, ActivatesAllButWidthAndHeight) {
  SingleLayer layer(kSmall, {kOneCell});
  //                          x      y  w    h  objectness  class
  expect_equal(layer.forward({0, 1.0986123f, -3, 3, -1.0986123f, 0}), {.5f, .75f, -3, 3, .25f, .5f}, kFloat);
}

TEST(Yolo, ScaleStretchesTheCentreAboutTheMiddleOfTheCell) {
  SingleLayer layer(kSmall + "scale_x_y=2", {kOneCell});
  // 2 * 0.75 - 0.5 = 1 is the cell's edge, 2 * 0.5 - 0.5 its middle.
  expect_equal(layer.forward({1.0986123f, 0, 0, 0, 0, 0}), {1, .5f, 0, 0, .5f, .5f}, kFloat);
}

TEST(Yolo, NewCoordsLeaveTheLogisticToTheConvolution) {
  SingleLayer layer(kSmall + "new_coords=1\nscale_x_y=2", {kOneCell});
  expect_equal(layer.forward({.5f, .75f, .5f, 1, .9f, .8f}), {.5f, 1, .5f, 1, .9f, .8f}, kFloat);
  const Candidates found = decoded(layer, .5f);
  ASSERT_EQ(found.count(), 1);
  expect_box(found.boxes[0], {.5f, 1, 16 / 32.f, 4 * 8 / 32.f});  // (2 * 0.5)^2 and (2 * 1)^2 anchors
  EXPECT_FLOAT_EQ(found.of(0)[0], .9f * .8f);
}

TEST(Yolo, DecodesByHand) {
  SingleLayer layer(kSmall, {kFourCells}, Device::cpu, false);
  Values x(24, -9);
  //                row 1, column 0: the third cell
  const Values cell = {0, 1.0986123f, std::log(2.f), 0, 1.3862944f, 0};
  std::copy(cell.begin(), cell.end(), x.begin() + 12);
  layer.forward(x);
  const Candidates found = decoded(layer, .3f);
  ASSERT_EQ(found.count(), 1);
  EXPECT_EQ(found.classes, 1);
  // (0 + 0.5) / 2, (1 + 0.75) / 2, 2 * 16 / 32, 8 / 32; 0.8 * 0.5.
  expect_box(found.boxes[0], {.25f, .875f, 1, .25f});
  EXPECT_FLOAT_EQ(found.objectness[0], .8f);
  EXPECT_FLOAT_EQ(found.of(0)[0], .4f);
}

TEST(Yolo, ThresholdsAreStrict) {
  SingleLayer layer(kSmall + "new_coords=1", {kOneCell}, Device::cpu, false);
  layer.forward({.5f, .5f, .5f, .5f, .5f, 1});
  EXPECT_EQ(decoded(layer, .5f).count(), 0);  // 0.5 is not above 0.5
  layer.forward({.5f, .5f, .5f, .5f, 1, .5f});
  const Candidates found = decoded(layer, .5f);
  ASSERT_EQ(found.count(), 1);  // objectness is, but the class is not
  EXPECT_EQ(found.of(0)[0], 0);
}

TEST(Yolo, ListsCellsRowByRowAndAnchorsWithin) {
  SingleLayer layer("[yolo]\nclasses=1\nnum=2\nanchors=4,4,16,8\nnew_coords=1", {{1, 1, 2, 12}}, Device::cpu,
                    false);
  Values x;
  for (float objectness : {.6f, .7f, .8f, .9f}) x.insert(x.end(), {.5f, .5f, .5f, .5f, objectness, 1});
  layer.forward(x);
  expect_equal(decoded(layer, .1f).objectness, {.6f, .7f, .8f, .9f});
}

// A box of its anchor's size in the middle of the only cell; the truth is that box exactly.
TEST(Yolo, AMatchedRowByHand) {
  SingleLayer layer(kSmall + "iou_normalizer=1", {kOneCell});
  give_truth(layer, {.5f, .5f, .5f, .25f, 0});
  layer.forward({0, 0, 0, 0, 0, -1.0986123f});
  expect_equal(delta(layer), {0, 0, 0, 0, .5f, .75f}, kFloat);  // 1 - 0.5 and 1 - 0.25
  const LossReport report = layer.report;
  EXPECT_NEAR(report.loss, .25 + .5625, 1e-6);
  EXPECT_EQ(report.matched, 1);
  EXPECT_NEAR(report.iou, 1, 1e-6);
}

TEST(Yolo, SmallBoxesWeighMore) {
  SingleLayer layer(kSmall, {kOneCell});
  give_truth(layer, {.75f, .5f, .5f, .25f, 0});
  layer.forward({0, 0, 0, 0, 0, 0});
  // iou_normalizer 0.75 is the default for mse too; 2 - w h is 2 - 0.125.
  EXPECT_NEAR(delta(layer)[0], .75 * 1.875 * (.75 - .5), 1e-6);
}

TEST(Yolo, ATruthThatFitsAnotherHeadsAnchorIsNotMatchedHere) {
  SingleLayer layer(kSmall, {kOneCell});
  give_truth(layer, {.5f, .5f, .125f, .125f, 0});
  layer.forward({0, 0, 0, 0, 0, 0});
  expect_equal(delta(layer), {0, 0, 0, 0, -.5f, 0}, kFloat);
  EXPECT_EQ(layer.report.matched, 0);
}

TEST(Yolo, BackgroundIsForgivenOnlyWhereAClassIsSeen) {
  SingleLayer layer("[yolo]\nclasses=1\nnum=2\nmask=0\nanchors=16,8, 16,12", {kOneCell});
  give_truth(layer, {.5f, .5f, .5f, .375f, 0});  // fits the other anchor; overlaps this box by 2/3
  layer.forward({0, 0, 0, 0, 0, 0});
  expect_equal(delta(layer), Values(6, 0), kFloat);
  layer.forward({0, 0, 0, 0, 0, -2});  // class probability 0.12, not above 0.25
  expect_equal(delta(layer), {0, 0, 0, 0, -.5f, 0}, kFloat);
}

TEST(Yolo, ATruthOnTheFarEdgeStaysInTheGrid) {
  SingleLayer layer(kSmall, {kFourCells});
  give_truth(layer, {1, 1, .5f, .25f, 0});
  layer.forward(Values(24, 0));
  EXPECT_EQ(layer.report.matched, 1);
  EXPECT_FLOAT_EQ(delta(layer)[18 + 4], .5f);  // the last cell
}

TEST(Yolo, TruthsThatCannotBeLearntAreLeftOut) {
  SingleLayer layer(kSmall, {kOneCell});
  give_truth(layer, {.5f,  .5f, .5f, .25f, 1,   // no such class
                     .5f,  .5f, .5f, .25f, -1,  //
                     .5f,  .5f, 0,   .25f, 0,   // no width
                     1.5f, .5f, .5f, .25f, 0,   // outside of the image
                     .5f,  NAN, .5f, .25f, 0,  .5f, .5f, INFINITY, .25f, 0});
  layer.forward(Values(6, 0));
  EXPECT_EQ(layer.report.matched, 0);
  expect_equal(delta(layer), {0, 0, 0, 0, -.5f, 0}, kFloat);
}

// Objectness and classes learn by logistic and cross entropy, so delta is its slope for the input: checked by
// central differences, step 1e-2 and tolerance 1e-3 (both as everywhere for gradients).
TEST(Yolo, ObjectnessAndClassesHaveTheSlopeOfCrossEntropy) {
  const std::string cfg = "[yolo]\nclasses=3\nnum=1\nanchors=16,8";
  const Values start = {.1f, -.2f, .1f, .3f, .4f, -.8f, .6f, .2f};
  SingleLayer layer(cfg, {{1, 1, 1, 8}});
  give_truth(layer, {.5f, .5f, .5f, .25f, 2});
  layer.forward(start);
  const Values slopes = delta(layer);
  const Values target = {0, 0, 0, 0, 1, 0, 0, 1};
  const auto cross_entropy = [&](const Values& x) {
    const Values y = layer.forward(x);
    double sum = 0;
    for (int e = 4; e < 8; ++e) sum -= target[e] * std::log(y[e]) + (1 - target[e]) * std::log(1 - y[e]);
    return sum;
  };
  for (int e = 4; e < 8; ++e) {
    Values up = start, down = start;
    up[e] += 1e-2f;
    down[e] -= 1e-2f;
    EXPECT_NEAR(slopes[e], -(cross_entropy(up) - cross_entropy(down)) / 2e-2, 1e-3) << e;
  }
}

// 1 - NWD of a row of the one anchor 16x8 in the middle cell of a 3x3 grid of 30 pixels, in double, from the
// definition (Wang et al., arXiv 2110.13389): x is the input of the head, the truth in pixels.
double nwd_loss(const std::vector<double>& x, const std::vector<double>& truth, double constant,
                bool activated, double scale) {
  const auto centre = [&](double v) {
    const double p = activated ? v : 1 / (1 + std::exp(-v));
    return (1 + p * scale - (scale - 1) / 2) * 10;
  };
  const auto size = [&](double v, double anchor) { return anchor * (activated ? 4 * v * v : std::exp(v)); };
  const double dx = centre(x[0]) - truth[0], dy = centre(x[1]) - truth[1];
  const double dw = size(x[2], 16) - truth[2], dh = size(x[3], 8) - truth[3];
  return 1 - std::exp(-std::sqrt(dx * dx + dy * dy + (dw * dw + dh * dh) / 4 + 1e-7) / constant);
}

// The slopes of the kernel's and the loop's float against those of the definition in double by central
// differences, which are good to 1e-9: a few roundings of a float remain.
TEST(Yolo, NwdHasTheSlopesOfItsDefinition) {
  const std::vector<double> truth = {17.25, 12.75, 12, 9};
  for (const Device device : {Device::cpu, Device::cuda})
    for (const bool activated : {false, true})
      for (const double scale : {1.0, 1.5}) {
        SCOPED_TRACE(std::to_string(int(device)) + (activated ? " activated " : " ") + std::to_string(scale));
        SingleLayer layer(
            "[yolo]\nclasses=1\nnum=1\nanchors=16,8\niou_loss=nwd\nnwd_constant=10\n"
            "iou_normalizer=3\nnew_coords=" +
                std::to_string(activated) + "\nscale_x_y=" + std::to_string(scale),
            {{1, 3, 3, 6}}, device, true, {1, 30, 30, 3});
        give_truth(layer, {.575f, .425f, .4f, .3f, 0});
        const std::vector<double> start = {.25, .625, .375, .5};
        Values x(54, .5f);
        std::copy(start.begin(), start.end(), x.begin() + 4 * 6);
        layer.forward(x);
        EXPECT_NEAR(layer.report.box_loss, 3 * nwd_loss(start, truth, 10, activated, scale), 1e-5);
        const Values slopes = layer.backward_overwriting(Values(54, 0))[0];
        for (size_t e = 0; e < 4; ++e) {
          std::vector<double> up = start, down = start;
          up[e] += 1e-5;
          down[e] -= 1e-5;
          const double slope =
              (nwd_loss(up, truth, 10, activated, scale) - nwd_loss(down, truth, 10, activated, scale)) /
              2e-5;
          EXPECT_GT(std::fabs(slope), 1e-3);
          EXPECT_NEAR(slopes[4 * 6 + e], 3 * slope, 2e-5) << e;
        }
      }
}

TEST(Yolo, NwdTeachesTheClassAndTheObjectnessAsEver) {
  SingleLayer layer(kSmall + "iou_loss=nwd", {kOneCell});
  give_truth(layer, {.5f, .5f, .5f, .25f, 0});
  layer.forward({0, 0, 0, 0, 0, -1.0986123f});
  expect_equal(delta(layer), {0, 0, 0, 0, .5f, .75f}, kFloat);  // the box is right already
}

// Of two heads' anchors a 12x12 truth of a 64x64 network: 8x18 has IoU 96 / 192, 24x12 only 144 / 288, which
// is the same, so that the first would win; of their NWD that of 8x18, 2 and 3 away, is the larger.
TEST(Yolo, NwdMayChooseTheAnchor) {
  const auto matched = [](const std::string& keys, const std::string& anchors, float size) {
    SingleLayer layer("[yolo]\nclasses=1\nnum=2\nmask=1\nanchors=" + anchors + "\n" + keys, {{1, 1, 1, 6}},
                      Device::cpu, true, {1, 64, 64, 3});
    give_truth(layer, {.5f, .5f, size / 64, size / 64, 0});
    layer.forward(Values(6, 0));
    return layer.report.matched;
  };
  EXPECT_EQ(matched("", "24,12, 8,18", 12), 0);
  EXPECT_EQ(matched("similarity=nwd", "24,12, 8,18", 12), 1);
  EXPECT_EQ(matched("similarity=nwd", "8,18, 24,12", 12), 0);
  EXPECT_EQ(matched("similarity=nwd", "8,8, 8,8", 12), 0);  // of equal anchors the first
  EXPECT_EQ(matched("", "8,8, 8,8", 12), 0);
  // NWD of both is 0 in a float.
  EXPECT_EQ(matched("similarity=nwd\nnwd_constant=.1", "8,8, 16,16", 48), 1);
}

// The box, 16x8 at the centre, is 8 pixels off: IoU 1/3, NWD exp(-8 / C).
TEST(Yolo, NwdMayForgiveBackground) {
  const auto objectness_slope = [](const std::string& keys) {
    SingleLayer layer("[yolo]\nclasses=1\nnum=2\nmask=0\nanchors=16,8, 16,9\nignore_thresh=.5\n" + keys,
                      {kOneCell});
    give_truth(layer, {.75f, .5f, .5f, 9 / 32.f, 0});  // fits the other anchor
    layer.forward(Values(6, 0));
    return delta(layer)[4];
  };
  EXPECT_EQ(objectness_slope(""), -.5f);
  EXPECT_EQ(objectness_slope("similarity=nwd\nnwd_constant=12.8"), 0);   // 0.53
  EXPECT_EQ(objectness_slope("similarity=nwd\nnwd_constant=11"), -.5f);  // 0.48
}

TEST(Yolo, NeedsNoTruthsWithoutTraining) {
  SingleLayer layer(kSmall, {kOneCell}, Device::cpu, false);
  EXPECT_EQ(layer.truth_capacity(), 0);
  layer.forward(Values(6, 0));
  EXPECT_FALSE(layer.layer().head()->delta());
}

TEST(Yolo, TellsWhatRulesTheTraining) {
  SingleLayer layer(kSmall + "jitter=.3\nresize=1.5\nrandom=1\nmax=50\nnms_kind=diounms\nbeta_nms=0.7",
                    {kOneCell});
  const Head& head = *layer.layer().head();
  EXPECT_FLOAT_EQ(head.augmentation().jitter, .3f);
  EXPECT_FLOAT_EQ(head.augmentation().resize, 1.5f);
  EXPECT_FLOAT_EQ(head.augmentation().random, 1);
  EXPECT_EQ(head.augmentation().max_boxes, 50);
  EXPECT_EQ(layer.truth_capacity(), 50);
  EXPECT_EQ(head.nms().kind, NmsKind::diou_power);
  EXPECT_FLOAT_EQ(head.nms().beta, .7f);
  EXPECT_FLOAT_EQ(head.nms().threshold_or_usual(), .45f);
  EXPECT_EQ(head.classes(), 1);
}

TEST(Yolo, TellsHowDuplicatesAreFound) {
  const auto nms_of = [](const std::string& keys) {
    SingleLayer layer(kSmall + keys, {kOneCell});
    return layer.layer().head()->nms();
  };
  const NmsSettings plain = nms_of("");
  EXPECT_EQ(plain.kind, NmsKind::standard);
  EXPECT_FLOAT_EQ(plain.threshold_or_usual(), .45f);
  EXPECT_TRUE(plain.classes_apart);
  EXPECT_EQ(plain.max_detections, 0);
  const NmsSettings nwd =
      nms_of("nms_kind=greedynms\nnms=nwd\nnms_constant=9\nnms_classes=0\nmax_detections=5");
  EXPECT_EQ(nwd.kind, NmsKind::nwd);
  EXPECT_FLOAT_EQ(nwd.threshold_or_usual(), .85f);
  EXPECT_FLOAT_EQ(nwd.constant, 9);
  EXPECT_FALSE(nwd.classes_apart);
  EXPECT_EQ(nwd.max_detections, 5);
  const NmsSettings soft = nms_of("nms=soft_gaussian\nnms_sigma=.3\nnms_min_score=.01\nnms_threshold=.2");
  EXPECT_EQ(soft.soft_rule().kind, SoftNmsKind::gaussian);
  EXPECT_FLOAT_EQ(soft.soft_rule().sigma, .3f);
  EXPECT_FLOAT_EQ(soft.soft_rule().min_score, .01f);
  EXPECT_FLOAT_EQ(soft.soft_rule().threshold, .2f);
}

TEST(Yolo, ExplainsWhatIsWrongWithItsSection) {
  expect_error(
      "[yolo]\nclasses=80\nnum=9\nmask=0,1,2\nanchors=1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1",
      "test.cfg:1: [yolo] needs 255 channels (3 masks x (5 + 80 classes)); the layer before has 254: "
      "set its filters=255",
      {{1, 4, 4, 254}});
  expect_error(kSmall + "iou_loss=clou",
               "test.cfg:6: [yolo] iou_loss must be one of mse, iou, giou, diou, ciou");
  expect_error(kSmall + "iou_loss=clou", "did you mean `ciou`?");
  expect_error("[yolo]\nclasses=1\nnum=2\nmask=0,2\nanchors=1,1,2,2",
               "test.cfg:4: [yolo] mask has 2, but num=2 anchors are numbered from 0");
  expect_error("[yolo]\nclasses=1\nnum=2\nanchors=1,1,2",
               "test.cfg:4: [yolo] anchors must list 4 numbers (num=2 pairs), not 3");
  expect_error("[yolo]\nnum=1\nanchors=0,1", "test.cfg:3: [yolo] anchors must be more than 0");
  expect_error("[yolo]\nclasses=0", "test.cfg:2: [yolo] classes must be between 1 and 65536, not 0");
  expect_error(kSmall + "nms_kind=cornersnms", "nms_kind must be one of default, greedynms, diounms");
  expect_error(kSmall + "nms=soft", "nms must be one of hard, greedynms, diounms, diou, nwd, soft_linear");
  expect_error(kSmall + "nms_threshold=1.5", "nms_threshold must be between 0 and 1");
  expect_error(kSmall + "counters_per_class=3,4",
               "test.cfg:6: [yolo] counters_per_class must list 1 numbers, one for each class, not 2",
               {kOneCell});
  expect_error(kSmall + "map=no.map", "[yolo] map=no.map: there is no such file", {kOneCell});
  expect_error(kSmall + "ignore_tresh=.5", "unknown key `ignore_tresh`, did you mean `ignore_thresh`?");
}

TEST(Yolo, AnchorsBeyondNumAreTold) {
  testing::internal::CaptureStderr();
  SingleLayer layer("[yolo]\nclasses=1\nnum=2\nmask=1\nanchors=1,1,2,2,3,3", {{1, 1, 1, 6}});
  expect_in("test.cfg: anchors lists 6 numbers, of which num=2 takes the first 4",
            testing::internal::GetCapturedStderr());
}

// Class 2 of the labels is class 0 of the head; the labels have no class 3.
TEST(Yolo, AMapRenumbersTheLabels) {
  const Temporary folder;
  SingleLayer layer("[yolo]\nclasses=2\nnum=1\nanchors=16,8\nmap=" + folder.write("a.map", "1\n1\n0\n"),
                    {{1, 1, 1, 7}});
  for (const auto& [label, class_id] : {std::pair(2, 0), {1, 1}, {3, -1}}) {
    give_truth(layer, {.5f, .5f, .5f, .25f, float(label)});
    layer.forward(Values(7, 0));
    EXPECT_EQ(layer.report.matched, class_id >= 0);
    for (int c = 0; c < 2 && class_id >= 0; ++c) EXPECT_EQ(delta(layer)[5 + c], c == class_id ? .5f : -.5f);
  }
  EXPECT_EQ(layer.layer().head()->classes(), 2);
  EXPECT_EQ(layer.layer().head()->label_classes(), 3);
  const auto error_for = [&](const std::string& map) {
    return error_of([&] {
      SingleLayer("[yolo]\nclasses=2\nnum=1\nmap=" + folder.write("b.map", map), {{1, 1, 1, 7}});
    });
  };
  expect_in(
      "test.cfg:4: [yolo] map: " + folder / "b.map" + " has the class 2, but classes=2 are numbered from 0",
      error_for("0\n2\n"));
  expect_in("b.map:2: expected the number of a class", error_for("0\n-1\n"));
  expect_in("b.map: no class in it", error_for("\n"));
}

TEST(Yolo, AcceptsWhatDarknetShipsWithoutEffect) {
  SingleLayer layer(kSmall + "uc_normalizer=0.07\nbeta1=0.6\nembedding_layer=3\nshow_details=0", {kOneCell});
}

}  // namespace
}  // namespace osprey
