#include "cuda/nms.h"

#include <algorithm>
#include <numeric>

#include "tests/cuda/detection_lists.h"
#include "tests/cuda/kernel_test.h"

namespace osprey::test {
namespace {

// Corners at multiples of 1/8, so that some boxes are equal, some touch, and some have no area.
std::vector<Box> coarse_boxes(int count, uint64_t seed) {
  std::vector<Box> boxes;
  for (int i = 0; i < count; ++i) {
    Random random(seed, Purpose::test, 1, i);
    const float x = float(random.below(8)) / 8, y = float(random.below(8)) / 8;
    boxes.push_back({x, y, x + float(random.below(6)) / 8, y + float(random.below(6)) / 8});
  }
  return boxes;
}

// A third of the scores is at or below the threshold; the others have seven values between them.
std::vector<float> coarse_scores(int count, uint64_t seed) {
  std::vector<float> scores = coarse_values(count, seed);
  for (float& score : scores) score = std::fabs(score);
  return scores;
}
constexpr float kScoreThreshold = .25f;

// By the definition, over all pairs. `scores` is of one class, `classes` apart.
std::vector<char> kept_by_definition(const std::vector<Box>& boxes, const float* scores, int classes,
                                     bool suppress, NmsRule rule) {
  std::vector<int> order(boxes.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int a, int b) { return scores[a * classes] > scores[b * classes]; });
  std::vector<char> kept(boxes.size());
  for (int i : order) {
    kept[i] = scores[i * classes] > kScoreThreshold;
    for (size_t j = 0; suppress && kept[i] && j < boxes.size(); ++j) {
      const bool before = kept[j] && int(j) != i &&
                          (scores[j * classes] > scores[i * classes] ||
                           (scores[j * classes] == scores[i * classes] && int(j) < i));
      if (before && nms_overlap(boxes[j], boxes[i], rule.kind, rule.beta) > rule.threshold) kept[i] = 0;
    }
  }
  return kept;
}

// Comparisons and the same formula: equal.
TEST(NmsKernel, KeepsWhatTheDefinitionKeeps) {
  Stream s;
  const std::vector<NmsRule> rules = {
      {.3f, NmsKind::standard, .6f}, {.2f, NmsKind::greedy, 2}, {.25f, NmsKind::diou_power, .9f}, {0}};
  const int classes = 3;
  // Fewer and more than the threads of a block, a power of two, words that are not full, and none.
  for (const int most : {1, 31, 64, 150}) {
    const std::vector<std::vector<Box>> boxes = {coarse_boxes(most, 1), coarse_boxes(most / 2, 2), {}};
    const std::vector<std::vector<float>> scores = {
        coarse_scores(most * classes, 3), coarse_scores(most / 2 * classes, 4), {}};
    for (const NmsRule& rule : rules)
      for (const bool suppress : {true, false}) {
        SCOPED_TRACE(std::to_string(most) + " boxes, kind " + std::to_string(int(rule.kind)));
        in_all_orders([&] {
          OwnLists own(boxes, scores, classes, most, 1);
          cuda::nms(s, own.lists, kScoreThreshold, suppress, rule);
          for (size_t n = 0; n < boxes.size(); ++n)
            for (int c = 0; c < classes; ++c) {
              const std::vector<char> want =
                  kept_by_definition(boxes[n], scores[n].data() + c, classes, suppress, rule);
              for (int i = 0; i < own.lists.kept.shape.c * 32; ++i)
                ASSERT_EQ(own.kept(int(n), c, i), i < int(want.size()) && want[i])
                    << "image " << n << ", class " << c << ", candidate " << i;
            }
        });
      }
  }
}

// A head may have more to list than there is room for: the rest is not looked at.
TEST(NmsKernel, StaysWithinTheCapacity) {
  Stream s;
  const std::vector<Box> boxes = coarse_boxes(40, 5);
  const std::vector<float> scores = coarse_scores(40, 6);
  OwnLists own({boxes}, {scores}, 1, 33, 1);
  cuda::nms(s, own.lists, kScoreThreshold, true, {.3f});
  const std::vector<char> want =
      kept_by_definition({boxes.begin(), boxes.begin() + 33}, scores.data(), 1, true, {.3f});
  for (int i = 0; i < 64; ++i) EXPECT_EQ(own.kept(0, 0, i), i < 33 && want[i]) << i;
}

}  // namespace
}  // namespace osprey::test
