#include "cuda/detections.h"

#include "tests/cuda/detection_lists.h"
#include "tests/cuda/kernel_test.h"

namespace osprey::test {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Two images of 70 boxes, three words for each of six classes: box i is at i, and class c has probability
// (i + c) / 100. In the second, boxes 5 and 40 are not finite.
struct Collected {
  static constexpr int kBoxes = 70, kClasses = 6;
  std::vector<std::vector<Box>> boxes{2};
  std::vector<std::vector<float>> probabilities{2};

  Collected() {
    for (int n = 0; n < 2; ++n)
      for (int i = 0; i < kBoxes; ++i) {
        boxes[n].push_back({float(i), 0, float(i) + 1, n == 1 && (i == 5 || i == 40) ? kInfinity : 1});
        for (int c = 0; c < kClasses; ++c) probabilities[n].push_back(float(i + c) / 100);
      }
  }
};

TEST(CollectKernel, ListsByClassAndCandidateInPixels) {
  Stream s;
  const Collected from;
  in_all_orders([&] {
    OwnLists own(from.boxes, from.probabilities, Collected::kClasses, Collected::kBoxes, 420);
    own.places()[1] = {{}, 10, 20};
    cuda::nms(s, own.lists, .3f, false, {});
    cuda::collect_detections(s, own.lists, .3f);
    for (int n = 0; n < 2; ++n) {
      int at = 0;
      for (int c = 0; c < Collected::kClasses; ++c)
        for (int i = 0; i < Collected::kBoxes; ++i) {
          const float score = float(i + c) / 100;
          if (!(score > .3f) || (n == 1 && (i == 5 || i == 40))) continue;
          const ListedDetection& found = own.lists.found(n, 0, 0, at++);
          ASSERT_EQ(found.class_id, c);
          ASSERT_EQ(found.candidate, i);
          EXPECT_EQ(found.score, score);
          EXPECT_EQ(found.box.x1, float(i) * (n ? 10 : 1));
          EXPECT_EQ(found.box.y2, n ? 20 : 1);
        }
      EXPECT_EQ(own.lists.found_counts[n], at);
    }
  });
}

TEST(CollectKernel, CountsWhatDidNotFit) {
  Stream s;
  const Collected from;
  OwnLists own(from.boxes, from.probabilities, Collected::kClasses, Collected::kBoxes, 7);
  cuda::nms(s, own.lists, 0, false, {});
  cuda::collect_detections(s, own.lists, 0);
  EXPECT_EQ(own.lists.found_counts[0], 6 * 70 - 1);  // only the first of the first class has no probability
  EXPECT_EQ(own.lists.found_counts[1], 6 * 68 - 1);
  for (int i = 0; i < 7; ++i) EXPECT_EQ(own.lists.found(0, 0, 0, i).candidate, i + 1);
}

}  // namespace
}  // namespace osprey::test
