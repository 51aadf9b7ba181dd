// Examples small enough to be worked by hand, for what the big comparisons would not name.
#include <gtest/gtest.h>

#include <chrono>

#include "core/random.h"
#include "train/metrics/coco.h"
#include "train/metrics/darknet_map.h"
#include "train/metrics/voc.h"

namespace osprey {
namespace {

TruthBox truth(int image, Rectangle box, int class_id = 0) {
  return {image, class_id, box, false, false, area(box)};
}

constexpr Rectangle kLeft{0, 0, 10, 10}, kRight{50, 0, 10, 10}, kFar{200, 200, 10, 10};

TEST(Boxes, iou_of_halves_is_a_third) {
  EXPECT_DOUBLE_EQ(iou(kLeft, Rectangle{5, 0, 10, 10}), 50.0 / 150);
  EXPECT_EQ(iou(kLeft, Rectangle{10, 0, 10, 10}), 0);
  EXPECT_EQ(iou(Rectangle{3, 3, 0, 0}, Rectangle{3, 3, 0, 0}), 0);  // not 0/0
  EXPECT_EQ(area(rectangle_of_inclusive(1, 1, 10, 20)), 200);
}

TEST(Boxes, of_an_unknown_class_are_refused) {
  EXPECT_THROW(voc_metrics({truth(0, kLeft, 2)}, {}, 2, VocPoints::all), Error);
  EXPECT_THROW(coco_metrics({}, {{0, -1, 0.5, kLeft}}, 2), Error);
}

// Found, missed, found: precision 1, 1/2, 2/3 at recall 1/2, 1/2, 1. The envelope is 1 up to 1/2, then 2/3.
TEST(PrecisionRecallTest, averages) {
  const PrecisionRecall curve = precision_recall({Outcome::is_true, Outcome::is_false, Outcome::is_true}, 2);
  EXPECT_EQ(curve.recall, (std::vector<double>{0.5, 0.5, 1}));
  EXPECT_DOUBLE_EQ(average_precision_all_points(curve), 0.5 * 1 + 0.5 * 2 / 3);
  EXPECT_DOUBLE_EQ(average_precision_11_points(curve), (6 * 1 + 5 * 2.0 / 3) / 11);
}

TEST(PrecisionRecallTest, of_nothing_is_zero) {
  EXPECT_EQ(average_precision_all_points({}), 0);
  EXPECT_EQ(average_precision_11_points({}), 0);
}

// NumPy's fourth point is 0.30000000000000004, its seventh 0.6000000000000001.
TEST(PrecisionRecallTest, a_recall_of_three_tenths_does_not_reach_the_fourth_point) {
  const PrecisionRecall curve = precision_recall(std::vector<Outcome>(3, Outcome::is_true), 10);
  EXPECT_DOUBLE_EQ(average_precision_11_points(curve), 3.0 / 11);
}

// The second detection of a truth is false, even though another truth overlaps it enough.
TEST(Voc, a_detection_looks_at_one_truth_only) {
  const std::vector<TruthBox> truths{truth(0, {0, 0, 10, 10}), truth(0, {3, 0, 10, 10})};
  const std::vector<DetectedBox> detections{{0, 0, 0.9, {0, 0, 10, 10}}, {0, 0, 0.8, {1, 0, 10, 10}}};
  EXPECT_DOUBLE_EQ(voc_metrics(truths, detections, 1, VocPoints::all).map, 0.5);
}

TEST(Voc, the_threshold_must_be_exceeded) {
  const std::vector<TruthBox> truths{truth(0, {0, 0, 10, 10})};
  const std::vector<DetectedBox> half{{0, 0, 0.9, {0, 0, 10, 5}}};
  EXPECT_EQ(voc_metrics(truths, half, 1, VocPoints::all, 0.5).map, 0);
  EXPECT_EQ(voc_metrics(truths, half, 1, VocPoints::all, 0.49).map, 1);
}

TEST(Voc, difficult_truths_are_neither_missed_nor_found) {
  std::vector<TruthBox> truths{truth(0, kLeft), truth(0, kRight)};
  truths[1].difficult = true;
  const std::vector<DetectedBox> detections{{0, 0, 0.9, kRight}, {0, 0, 0.8, kLeft}};
  const VocMetrics metrics = voc_metrics(truths, detections, 2, VocPoints::all);
  EXPECT_EQ(metrics.map, 1);
  EXPECT_EQ(metrics.per_class[0].truths, 1);
  EXPECT_EQ(metrics.per_class[1].ap, -1);  // no truths: not in the mean
}

TEST(Coco, a_perfect_detector_has_ap_1) {
  const CocoMetrics m =
      coco_metrics({truth(0, kLeft), truth(1, kRight)}, {{0, 0, 0.9, kLeft}, {1, 0, 0.8, kRight}}, 1);
  EXPECT_NEAR(m.ap, 1, 1e-12);
  EXPECT_EQ(m.ar100, 1);
  EXPECT_EQ(m.ap_large, -1);  // all objects are small
}

TEST(Coco, crowds_swallow_any_number_of_detections) {
  std::vector<TruthBox> truths{truth(0, kLeft), truth(0, {100, 100, 50, 50})};
  truths[1].crowd = true;
  const std::vector<DetectedBox> detections{
      {0, 0, 0.9, {100, 100, 10, 10}}, {0, 0, 0.8, {120, 120, 10, 10}}, {0, 0, 0.7, kLeft}};
  EXPECT_NEAR(coco_metrics(truths, detections, 1).ap, 1, 1e-12);
}

// Equal scores are ranked by image, then in the order given: false first halves the precision.
TEST(Coco, equal_scores_keep_their_order) {
  const std::vector<TruthBox> truths{truth(1, kLeft)};
  EXPECT_NEAR(coco_metrics(truths, {{1, 0, 0.5, kLeft}, {0, 0, 0.5, kLeft}}, 1).ap, 0.5, 1e-12);
  EXPECT_NEAR(coco_metrics(truths, {{1, 0, 0.5, kLeft}, {1, 0, 0.5, kFar}}, 1).ap, 1, 1e-12);
}

TEST(Coco, only_the_best_100_of_an_image_count) {
  std::vector<DetectedBox> detections(100, {0, 0, 0.9, kFar});
  detections.push_back({0, 0, 0.1, kLeft});
  const CocoMetrics m = coco_metrics({truth(0, kLeft)}, detections, 1);
  EXPECT_EQ(m.ar100, 0);
  detections.erase(detections.begin());
  EXPECT_EQ(coco_metrics({truth(0, kLeft)}, detections, 1).ar100, 1);
}

// Found, false, found, of two truths: precision 1, 1/2, 2/3.
TEST(DarknetMapTest, hand_worked) {
  const std::vector<TruthBox> truths{truth(0, kLeft), truth(0, kRight)};
  const std::vector<DetectedBox> detections{{0, 0, 0.9, kLeft}, {0, 0, 0.8, kFar}, {0, 0, 0.2, kRight}};
  const DarknetMap m = darknet_map(truths, detections, 2);
  EXPECT_DOUBLE_EQ(m.per_class[0].ap, 0.5 + 0.5 * 2 / 3);
  EXPECT_DOUBLE_EQ(m.map, m.per_class[0].ap / 2);  // a class without truths counts as 0
  EXPECT_EQ(m.true_positives, 1);                  // the third is below the confidence of 0.25
  EXPECT_EQ(m.false_positives, 1);
  EXPECT_EQ(m.false_negatives, 1);
  EXPECT_DOUBLE_EQ(m.average_iou, 0.5);
  EXPECT_DOUBLE_EQ(m.f1, 0.5);
  EXPECT_THROW(darknet_map(truths, detections, 2, {.points = 12}), Error);
}

TEST(DarknetMapTest, a_difficult_match_leaves_the_ranking_but_is_false_at_the_confidence) {
  std::vector<TruthBox> truths{truth(0, kLeft), truth(0, kRight)};
  truths[1].difficult = true;
  const DarknetMap m = darknet_map(truths, {{0, 0, 0.9, kRight}, {0, 0, 0.8, kLeft}}, 1);
  EXPECT_EQ(m.map, 1);
  EXPECT_EQ(m.detections, 1);
  EXPECT_EQ(m.truths, 1);
  EXPECT_EQ(m.false_positives, 1);
}

// Seen first by a weak detection, the truth makes the strong one a false positive at the confidence, not in
// the ranking.
TEST(DarknetMapTest, the_first_match_in_the_list_takes_the_truth_at_the_confidence) {
  const std::vector<TruthBox> truths{truth(0, kLeft)};
  const DarknetMap weak_first = darknet_map(truths, {{0, 0, 0.1, kLeft}, {0, 0, 0.9, kLeft}}, 1);
  EXPECT_EQ(weak_first.true_positives, 0);
  EXPECT_EQ(weak_first.false_positives, 1);
  EXPECT_EQ(weak_first.map, 1);
  EXPECT_EQ(darknet_map(truths, {{0, 0, 0.9, kLeft}, {0, 0, 0.1, kLeft}}, 1).true_positives, 1);
}

// Compiled with -Ofast, 6 * (1/10) is above 6/10: three of five truths do not reach the seventh point.
TEST(DarknetMapTest, eleven_points_are_multiples_of_a_tenth) {
  std::vector<TruthBox> truths;
  std::vector<DetectedBox> detections;
  for (int i = 0; i < 5; ++i) truths.push_back(truth(i, kLeft));
  for (int i = 0; i < 3; ++i) detections.push_back({i, 0, 0.9 - 0.1 * i, kLeft});
  EXPECT_DOUBLE_EQ(darknet_map(truths, detections, 1, {.points = 11}).map, 6.0 / 11);
}

// A hundred thousand detections of one class, 20 an image, take about a tenth of a second; quadratic loops
// over them would take minutes, which this limit cannot miss even under a sanitizer.
TEST(Metrics, of_a_hundred_thousand_detections_take_seconds_at_most) {
  Random random(1, Purpose::test);
  std::vector<TruthBox> truths;
  std::vector<DetectedBox> detections;
  for (int image = 0; image < 5000; ++image) {
    for (int i = 0; i < 20; ++i) {
      const Rectangle box{random.uniform(0, 500), random.uniform(0, 500), random.uniform(9, 99),
                          random.uniform(9, 99)};
      if (i < 5) truths.push_back(truth(image, box));
      detections.push_back(
          {image, 0, random.uniform(), {box.x + random.uniform(0, 9), box.y, box.width, box.height}});
    }
  }
  const auto start = std::chrono::steady_clock::now();
  EXPECT_GT(coco_metrics(truths, detections, 1).ap50, 0);
  EXPECT_GT(voc_metrics(truths, detections, 1, VocPoints::all).map, 0);
  EXPECT_GT(darknet_map(truths, detections, 1).map, 0);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(60));
}

}  // namespace
}  // namespace osprey
