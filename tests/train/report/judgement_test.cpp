// What becomes of each box of small, made-up images.
#include "train/report/judgement.h"

#include <gtest/gtest.h>

namespace osprey {
namespace {

constexpr Rectangle kLeft{0, 0, 10, 10}, kRight{100, 0, 10, 10};

TruthBox truth(int image, int class_id, Rectangle box) { return {image, class_id, box, false, false, 0}; }

std::vector<Verdict> verdicts(const JudgedImage& image) {
  std::vector<Verdict> all;
  for (const JudgedBox& b : image.boxes) all.push_back(b.verdict);
  return all;
}

TEST(Judgement, TellsEveryKindOfMistake) {
  const std::vector<TruthBox> truths = {truth(0, 0, kLeft), truth(0, 1, kRight), truth(1, 0, kLeft)};
  const std::vector<DetectedBox> detections = {{0, 0, 0.9, kLeft},           // found
                                               {0, 0, 0.8, {1, 0, 10, 10}},  // and once more
                                               {0, 0, 0.7, kRight},          // there is one, of another class
                                               {0, 1, 0.6, {50, 50, 10, 10}}};  // there is nothing
  const Judgement j = judge(truths, detections, 2);
  ASSERT_EQ(j.images.size(), 2u);
  EXPECT_EQ(j.images[0].image, 0);  // three mistakes come before one
  EXPECT_EQ(j.images[0].mistakes, 3);
  EXPECT_EQ(verdicts(j.images[0]),
            (std::vector{Verdict::right, Verdict::doubled, Verdict::confused, Verdict::invented}));
  EXPECT_EQ(j.images[1].image, 1);
  EXPECT_EQ(verdicts(j.images[1]), std::vector{Verdict::missed});
  // Rows: class 0, class 1, background.
  EXPECT_EQ(j.confusion, (std::vector<int64_t>{1, 0, 1, 1, 0, 0, 1, 1, 0}));
}

// A truth goes to its own class though a surer detection of another class lies on it.
TEST(Judgement, TheOwnClassChoosesFirst) {
  const Judgement j = judge({truth(0, 1, kLeft)}, {{0, 0, 0.9, kLeft}, {0, 1, 0.3, kLeft}}, 2);
  EXPECT_EQ(j.at(1, 1), 1);
  EXPECT_EQ(j.at(2, 0), 1);
}

TEST(Judgement, TheBestOverlapIsTaken) {
  const Rectangle near{2, 0, 10, 10};
  const Judgement j = judge({truth(0, 0, near), truth(0, 0, kLeft)}, {{0, 0, 0.9, kLeft}}, 1);
  ASSERT_EQ(j.images[0].boxes.size(), 2u);
  EXPECT_EQ(j.images[0].boxes[0].truth, 1);
  EXPECT_EQ(j.images[0].boxes[1].verdict, Verdict::missed);
  EXPECT_EQ(j.images[0].boxes[1].truth, 0);
}

// An IoU of exactly the threshold is no match, nor is a score of exactly the confidence one that counts.
TEST(Judgement, BothThresholdsMustBeExceeded) {
  const Rectangle half{0, 0, 10, 5};
  EXPECT_EQ(judge({truth(0, 0, kLeft)}, {{0, 0, 0.9, half}}, 1, 0.25, 0.5).at(0, 0), 0);
  EXPECT_EQ(judge({truth(0, 0, kLeft)}, {{0, 0, 0.9, half}}, 1, 0.25, 0.49).at(0, 0), 1);
  EXPECT_EQ(judge({truth(0, 0, kLeft)}, {{0, 0, 0.25, kLeft}}, 1, 0.25).at(0, 0), 0);
  EXPECT_EQ(judge({truth(0, 0, kLeft)}, {{0, 0, 0.26, kLeft}}, 1, 0.25).at(0, 0), 1);
}

TEST(Judgement, NeitherDifficultTruthsNorCrowdsAreMistakes) {
  TruthBox difficult = truth(0, 0, kLeft), crowd = truth(0, 0, {200, 200, 100, 100});
  difficult.difficult = true;
  crowd.crowd = true;
  const std::vector<DetectedBox> detections = {{0, 0, 0.9, kLeft}, {0, 0, 0.8, {210, 210, 8, 8}}};
  const Judgement j = judge({difficult, crowd}, detections, 1);
  EXPECT_EQ(j.confusion, std::vector<int64_t>(4, 0));
  EXPECT_EQ(j.images[0].mistakes, 0);
}

TEST(Judgement, NothingIsNothing) {
  const Judgement j = judge({}, {}, 3);
  EXPECT_TRUE(j.images.empty());
  EXPECT_EQ(j.confusion, std::vector<int64_t>(16, 0));
}

}  // namespace
}  // namespace osprey
