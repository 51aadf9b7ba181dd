#include "models/detections.h"

#include <gtest/gtest.h>

#include <limits>

#include "core/error.h"

namespace osprey {
namespace {

// A head that has already found what it is told to have found.
class Prepared final : public Head {
 public:
  Prepared(int classes, std::vector<CentreBox> boxes, std::vector<float> probabilities,
           NmsKind kind = NmsKind::standard)
      : classes_(classes), boxes_(std::move(boxes)), probabilities_(std::move(probabilities)), kind_(kind) {}

  void keys(Keys&) override {}
  void plan(Plan&) override {}
  void forward(Stream&) override {}
  void backward(Stream&) override {}
  int classes() const override { return classes_; }
  NmsKind nms_kind() const override { return kind_; }
  View<const float> delta() const override { return {}; }
  Augmentation augmentation() const override { return {}; }
  void decode(View<const float>, int, float threshold, Candidates& out) const override {
    out.classes = classes_;
    out.boxes.insert(out.boxes.end(), boxes_.begin(), boxes_.end());
    out.objectness.insert(out.objectness.end(), boxes_.size(), 1.0f);
    for (float p : probabilities_) out.probabilities.push_back(p > threshold ? p : 0);
  }

  void list(Stream&, float, const DetectionLists&) const override {}

 private:
  int classes_;
  std::vector<CentreBox> boxes_;
  std::vector<float> probabilities_;
  NmsKind kind_;
};

void expect_box(Box got, Box want) {
  EXPECT_FLOAT_EQ(got.x1, want.x1);
  EXPECT_FLOAT_EQ(got.y1, want.y1);
  EXPECT_FLOAT_EQ(got.x2, want.x2);
  EXPECT_FLOAT_EQ(got.y2, want.y2);
}

constexpr CentreBox kBox = {.5f, .5f, .5f, .25f};

TEST(Detections, OneForEachClassAboveTheThresholdByFallingScore) {
  Prepared first(2, {kBox}, {.3f, .6f}), second(2, {{.1f, .1f, .1f, .1f}}, {.5f, .2f});
  const auto found = detections({&first, &second}, 0, .25f, 0, {}, 400, 200);
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[0].class_id, 1);
  EXPECT_EQ(found[0].score, .6f);
  EXPECT_EQ(found[1].score, .5f);
  EXPECT_EQ(found[2].score, .3f);
  expect_box(found[0].box, {100, 75, 300, 125});
}

TEST(Detections, AreNotClippedToTheImage) {
  Prepared head(1, {{0, 1, .5f, .5f}}, {.9f});
  const auto found = detections({&head}, 0, .5f, 0, {}, 100, 100);
  expect_box(found.at(0).box, {-25, 75, 25, 125});
}

// A 400x200 image in a square input fills the middle half of its height.
TEST(Detections, LetterboxIsTakenOff) {
  Prepared head(1, {kBox}, {.9f});
  const auto found = detections({&head}, 0, .5f, 0, {0, .25f, 1, .5f}, 400, 200);
  expect_box(found.at(0).box, {100, 50, 300, 150});
}

// Two boxes that overlap by 0.6, which greedynms lessens to 0.49.
TEST(Detections, TheLastHeadSaysHowDuplicatesAreFound) {
  const std::vector<CentreBox> pair = {{.4f, .5f, .4f, .4f}, {.5f, .5f, .4f, .4f}};
  Prepared plain(1, pair, {.9f, .8f}), greedy(1, {}, {}, NmsKind::greedy);
  EXPECT_EQ(detections({&plain, &greedy}, 0, .5f, .5f, {}, 100, 100).size(), 2u);
  EXPECT_EQ(detections({&greedy, &plain}, 0, .5f, .5f, {}, 100, 100).size(), 1u);
  EXPECT_EQ(detections({&greedy, &plain}, 0, .5f, 0, {}, 100, 100).size(), 2u);  // 0: not at all
}

TEST(Detections, LeavesOutBoxesThatAreNotFinite) {
  Prepared head(1, {{.5f, .5f, std::numeric_limits<float>::infinity(), .1f}, kBox}, {.9f, .8f});
  const auto found = detections({&head}, 0, .5f, .45f, {}, 100, 100);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].score, .8f);
}

TEST(Detections, RefusesHeadsThatDoNotFitTogether) {
  Prepared two(2, {kBox}, {.3f, .6f}), three(3, {}, {});
  try {
    detections({&two, &three}, 0, .25f, 0, {}, 10, 10);
    FAIL() << "no error";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("heads of the network have 2 and 3 classes"), std::string::npos);
  }
  EXPECT_THROW(detections({}, 0, .25f, 0, {}, 10, 10), Error);
}

}  // namespace
}  // namespace osprey
