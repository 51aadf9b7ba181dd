#include "models/detections.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/error.h"

namespace osprey {
namespace {

// A head that has already found what it is told to have found.
class Prepared final : public Head {
 public:
  Prepared(int classes, std::vector<CentreBox> boxes, std::vector<float> probabilities, NmsSettings nms = {})
      : classes_(classes), boxes_(std::move(boxes)), probabilities_(std::move(probabilities)), nms_(nms) {}

  void keys(Keys&) override {}
  void plan(Plan&) override {}
  void forward(Stream&) override {}
  void backward(Stream&) override {}
  int classes() const override { return classes_; }
  NmsSettings nms() const override { return nms_; }
  View<const float> delta() const override { return {}; }
  Augmentation augmentation() const override { return {}; }
  void decode(View<const float>, int, Thresholds thresholds, Candidates& out) const override {
    out.classes = classes_;
    out.boxes.insert(out.boxes.end(), boxes_.begin(), boxes_.end());
    out.objectness.insert(out.objectness.end(), boxes_.size(), 1.0f);
    for (float p : probabilities_) out.probabilities.push_back(p > thresholds.score ? p : 0);
  }

  void list(Stream&, Thresholds, const DetectionLists&) const override {}

 private:
  int classes_;
  std::vector<CentreBox> boxes_;
  std::vector<float> probabilities_;
  NmsSettings nms_;
};

void expect_box(Box got, Box want) {
  EXPECT_FLOAT_EQ(got.x1, want.x1);
  EXPECT_FLOAT_EQ(got.y1, want.y1);
  EXPECT_FLOAT_EQ(got.x2, want.x2);
  EXPECT_FLOAT_EQ(got.y2, want.y2);
}

std::vector<Detection> found_by(const std::vector<const Head*>& heads, const DetectorSettings& settings,
                                const ImagePlace& place) {
  std::vector<HeadOutput> outputs;
  for (const Head* head : heads) outputs.push_back({head, {}});
  return detections(outputs, 0, settings, place, {1, 100, 200, 3});
}

constexpr CentreBox kBox = {.5f, .5f, .5f, .25f};

TEST(Detections, OneForEachClassAboveTheThresholdByFallingScore) {
  Prepared first(2, {kBox}, {.3f, .6f}), second(2, {{.1f, .1f, .1f, .1f}}, {.5f, .2f});
  const auto found = found_by({&first, &second}, {.25f, 0, {}}, {{}, 400, 200});
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[0].class_id, 1);
  EXPECT_EQ(found[0].score, .6f);
  EXPECT_EQ(found[1].score, .5f);
  EXPECT_EQ(found[2].score, .3f);
  expect_box(found[0].box, {100, 75, 300, 125});
}

TEST(Detections, AreNotClippedToTheImage) {
  Prepared head(1, {{0, 1, .5f, .5f}}, {.9f});
  const auto found = found_by({&head}, {.5f, 0, {}}, {{}, 100, 100});
  expect_box(found.at(0).box, {-25, 75, 25, 125});
}

// A 400x200 image in a square input fills the middle half of its height.
TEST(Detections, LetterboxIsTakenOff) {
  Prepared head(1, {kBox}, {.9f});
  const auto found = found_by({&head}, {.5f, 0, {}}, {{0, .25f, 1, .5f}, 400, 200});
  expect_box(found.at(0).box, {100, 50, 300, 150});
}

// Two boxes that overlap by 0.6, which greedynms lessens to 0.49.
TEST(Detections, TheLastHeadSaysHowDuplicatesAreFound) {
  const std::vector<CentreBox> pair = {{.4f, .5f, .4f, .4f}, {.5f, .5f, .4f, .4f}};
  Prepared plain(1, pair, {.9f, .8f}), greedy(1, {}, {}, {NmsKind::greedy});
  EXPECT_EQ(found_by({&plain, &greedy}, {.5f, .5f, {}}, {{}, 100, 100}).size(), 2u);
  EXPECT_EQ(found_by({&greedy, &plain}, {.5f, .5f, {}}, {{}, 100, 100}).size(), 1u);
  EXPECT_EQ(found_by({&greedy, &plain}, {.5f, 0, {}}, {{}, 100, 100}).size(), 2u);  // 0: not at all
}

// 4 and 2 pixels of the network input, 200 wide, lie between their centres, and they do not touch.
TEST(Detections, NwdIsMeasuredInPixelsOfTheNetworkInput) {
  const std::vector<CentreBox> row = {
      {.5f, .5f, .005f, .01f}, {.52f, .5f, .005f, .01f}, {.53f, .5f, .005f, .01f}};
  NmsSettings nms = {NmsKind::nwd};  // threshold .85: closer than 2.08 pixels at C = 12.8
  Prepared head(1, row, {.9f, .8f, .7f}, nms);
  const auto found = found_by({&head}, {.5f, {}, {}}, {{}, 1000, 10});
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[1].score, .8f);
  nms.constant = 25;  // closer than 4.06 pixels
  Prepared larger(1, row, {.9f, .8f, .7f}, nms);
  EXPECT_EQ(found_by({&larger}, {.5f, {}, {}}, {{}, 1000, 10}).size(), 2u);  // the third is 6 pixels off
  // In a letterbox that takes half of the input, the same boxes in the network are twice as far in the image.
  EXPECT_EQ(found_by({&head}, {.5f, {}, {}}, {{.25f, .25f, .5f, .5f}, 1000, 10}).size(), 2u);
}

// Of equal squares, one 10 pixels beside and one 5 below in an input of 200x100: by units of the image they
// would be equally far.
TEST(Detections, DiouIsMeasuredInPixelsOfTheNetworkInput) {
  const std::vector<CentreBox> boxes = {{.5f, .5f, .2f, .4f}, {.55f, .5f, .2f, .4f}, {.5f, .55f, .2f, .4f}};
  Prepared head(1, boxes, {.9f, .8f, .7f});
  // IoU 0.6; 10 of hypot(50, 40) pixels off: DIoU 0.5756. IoU 0.7778; 5 of hypot(40, 45): DIoU 0.7709.
  const auto left = [&](float threshold) {
    return found_by({&head}, {.5f, threshold, NmsKind::diou}, {{}, 100, 100}).size();
  };
  EXPECT_EQ(left(.575f), 1u);
  EXPECT_EQ(left(.577f), 2u);
  EXPECT_EQ(left(.770f), 2u);
  EXPECT_EQ(left(.772f), 3u);
}

TEST(Detections, SoftKindsLowerScores) {
  const std::vector<CentreBox> pair = {{.4f, .5f, .4f, .4f}, {.5f, .5f, .4f, .4f}};  // IoU 0.6
  Prepared head(1, pair, {.9f, .8f});
  const auto linear = found_by({&head}, {.25f, {}, NmsKind::soft_linear}, {{}, 100, 100});
  ASSERT_EQ(linear.size(), 2u);
  EXPECT_NEAR(linear[1].score, .8f * .4f, 1e-6);
  const auto gaussian = found_by({&head}, {.25f, {}, NmsKind::soft_gaussian}, {{}, 100, 100});
  EXPECT_NEAR(gaussian.at(1).score, .8f * std::exp(-.6f * .6f / .5f), 1e-6);
  EXPECT_EQ(found_by({&head}, {.35f, {}, NmsKind::soft_linear}, {{}, 100, 100}).size(), 1u);
  EXPECT_EQ(found_by({&head}, {.25f, .7f, NmsKind::soft_linear}, {{}, 100, 100}).at(1).score, .8f);
}

TEST(Detections, ClassesThatAreNotApartSuppressEachOther) {
  const std::vector<CentreBox> pair = {{.4f, .5f, .4f, .4f}, {.5f, .5f, .4f, .4f}};
  NmsSettings nms;
  Prepared apart(2, pair, {.9f, .7f, .3f, .8f}, nms);
  EXPECT_EQ(found_by({&apart}, {.25f, {}, {}}, {{}, 100, 100}).size(), 2u);
  nms.classes_apart = false;
  Prepared together(2, pair, {.9f, .7f, .3f, .8f}, nms);
  const auto found = found_by({&together}, {.25f, {}, {}}, {{}, 100, 100});
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].class_id, 0);
  // One that overlaps too little keeps its best class only.
  const auto both = found_by({&together}, {.25f, .65f, {}}, {{}, 100, 100});
  ASSERT_EQ(both.size(), 2u);
  EXPECT_EQ(both[1].class_id, 1);
}

TEST(Detections, TheBestStayWhereTheHeadSaysHowMany) {
  NmsSettings nms;
  nms.max_detections = 2;
  Prepared head(2, {kBox, {.1f, .1f, .1f, .1f}}, {.6f, .9f, .8f, .7f}, nms);
  const auto found = found_by({&head}, {.25f, {}, {}}, {{}, 100, 100});
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].score, .9f);
  EXPECT_EQ(found[1].score, .8f);
}

TEST(Detections, AnotherKindBringsItsOwnThreshold) {
  NmsSettings nms;
  nms.threshold = .6f;
  Prepared head(1, {}, {}, nms);
  const auto threshold = [&](std::optional<float> given, std::optional<NmsKind> kind) {
    return nms_settings(head, {.25f, given, kind}).threshold_or_usual();
  };
  EXPECT_EQ(threshold({}, {}), .6f);
  EXPECT_EQ(threshold({}, NmsKind::standard), .6f);
  EXPECT_EQ(threshold({}, NmsKind::greedy), .45f);
  EXPECT_EQ(threshold({}, NmsKind::nwd), .85f);
  EXPECT_EQ(threshold({}, NmsKind::soft_linear), .3f);
  EXPECT_EQ(threshold(.7f, NmsKind::nwd), .7f);
}

TEST(Detections, LeavesOutBoxesThatAreNotFinite) {
  Prepared head(1, {{.5f, .5f, std::numeric_limits<float>::infinity(), .1f}, kBox}, {.9f, .8f});
  const auto found = found_by({&head}, {.5f, .45f, {}}, {{}, 100, 100});
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].score, .8f);
}

TEST(Detections, RefusesHeadsThatDoNotFitTogether) {
  Prepared two(2, {kBox}, {.3f, .6f}), three(3, {}, {});
  try {
    found_by({&two, &three}, {.25f, 0, {}}, {{}, 10, 10});
    FAIL() << "no error";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("heads of the network have 2 and 3 classes"), std::string::npos);
  }
  EXPECT_THROW(found_by({}, {.25f, 0, {}}, {{}, 10, 10}), Error);
}

}  // namespace
}  // namespace osprey
