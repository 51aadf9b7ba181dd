#include "cuda/detections.h"

#include "cuda/yolo.h"
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

// More rows than a block has threads, and more candidates in the first image than there is room for; in the
// second only the last row is one.
TEST(CandidatesKernel, ListsTheFirstInTheOrderOfRows) {
  constexpr int kSide = 20, kRows = kSide * kSide, kCapacity = 100, kLength = 6;
  Stream s;
  std::vector<Anchor> anchors = {{8, 8}};
  std::vector<int> mask = {0};
  YoloGrid grid;
  grid.classes = 1;
  grid.anchors = channels(anchors);
  grid.mask = channels(mask);
  grid.rows = grid.columns = kSide;
  grid.network_width = grid.network_height = 8 * kSide;
  Values y(2 * kRows * kLength, .5f);
  for (int row = 0; row < kRows; ++row) {
    y[row * kLength + 4] = row % 3 == 0 ? .75f : .25f;
    y[(kRows + row) * kLength + 4] = row == kRows - 1 ? .75f : .5f;  // the threshold itself is not above it
  }
  in_all_orders([&] {
    OwnLists own({{}, {}}, {{}, {}}, 1, kCapacity, 1);
    cuda::yolo_candidates(s, grid, constant(y, {2, kSide, kSide, kLength}), .5f, own.lists);
    EXPECT_EQ(own.lists.counts[0], (kRows + 2) / 3);
    for (int i = 0; i < kCapacity; ++i)
      EXPECT_EQ(own.lists.candidates(0, 0, 0, i).classes, &y[3 * i * kLength + 5]) << "candidate " << i;
    EXPECT_EQ(own.lists.counts[1], 1);
    EXPECT_EQ(own.lists.candidates(1, 0, 0, 0).classes, &y[(2 * kRows - 1) * kLength + 5]);
  });
}

}  // namespace
}  // namespace osprey::test
