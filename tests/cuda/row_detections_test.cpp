#include "cuda/row_detections.h"

#include <algorithm>

#include "tests/cuda/best_rows.h"
#include "tests/cuda/detection_lists.h"
#include "tests/cuda/kernel_test.h"

namespace osprey::test {
namespace {

struct Pair {
  float score;
  int row, class_id;
};

// By the definition: the pairs of each group above the threshold, sorted, cut.
std::vector<Pair> best_pairs(const std::vector<float>& rows, int image, Shape shape, const BestOfRows& best,
                             float threshold) {
  std::vector<Pair> all;
  const int classes = shape.c - kClasses;
  for (int g = 0; g < best.groups(classes); ++g) {
    std::vector<Pair> group;
    for (int r = 0; r < shape.w; ++r)
      for (int c = 0; c < classes; ++c) {
        const float* row = rows.data() + shape.index(image, 0, r, 0);
        const float score = row[kObjectness] * row[kClasses + c];
        if (score > threshold && g == (best.by_class ? c : best.levels.level_of(r)))
          group.push_back({score, r, c});
      }
    std::stable_sort(group.begin(), group.end(),
                     [](const Pair& a, const Pair& b) { return a.score > b.score; });
    group.resize(std::min(group.size(), size_t(best.top_k)));
    all.insert(all.end(), group.begin(), group.end());
  }
  return all;
}

// Scores are quarters, so that most of them tie, also across the cut.
TEST(BestRows, AreListedGroupByGroup) {
  Stream s;
  const Shape shape = {2, 1, 61, kClasses + 3};
  std::vector<float> rows = coarse_values(shape.size(), 4);
  for (float& v : rows) v = std::fabs(v);
  std::fill(rows.begin() + shape.index(1, 0, 20, 0), rows.begin() + shape.index(1, 0, 29, 0), 0.f);
  BestOfRows best;
  for (const int of_level : {40, 1, 20}) best.levels.add(of_level);
  for (const bool by_class : {false, true})
    for (const int top_k : {1, 2, 7, 33, 200}) {
      SCOPED_TRACE(std::to_string(top_k) + (by_class ? " of each class" : " of each level"));
      best.by_class = by_class;
      best.top_k = top_k;
      in_all_orders([&] {
        OwnBestRows own(shape, best);
        OwnLists lists({{{}}, {}}, {{0, 0, 0}, {}}, 3, 400, 1);  // the first image has a candidate already
        cuda::best_row_candidates(s, {rows.data(), shape}, best, .25f, own.work, lists.lists);
        for (int n = 0; n < 2; ++n) {
          const std::vector<Pair> want = best_pairs(rows, n, shape, best, .25f);
          const int before = n == 0;
          ASSERT_FALSE(want.empty());
          ASSERT_EQ(lists.lists.counts[n], before + int(want.size()));
          for (size_t i = 0; i < want.size(); ++i) {
            const CandidateBox& got = lists.lists.candidates(n, 0, 0, before + int(i));
            const float* row = rows.data() + shape.index(n, 0, want[i].row, 0);
            ASSERT_EQ(got.classes, row + kClasses) << "candidate " << i;
            ASSERT_EQ(got.only_class, want[i].class_id) << "candidate " << i;
            ASSERT_EQ(got.score(want[i].class_id, .25f), want[i].score) << "candidate " << i;
            ASSERT_EQ(got.box.x1, row[kX] - row[kW] / 2) << "candidate " << i;
          }
        }
      });
    }
}

TEST(BestRows, ThatDoNotFitAreCounted) {
  Stream s;
  const Shape shape = {1, 1, 9, kClasses + 1};
  const std::vector<float> rows(size_t(shape.size()), .9f);
  BestOfRows best;
  best.levels.add(9);
  best.top_k = 8;
  OwnBestRows own(shape, best);
  OwnLists lists({{}}, {{}}, 1, 5, 1);
  cuda::best_row_candidates(s, {rows.data(), shape}, best, .25f, own.work, lists.lists);
  EXPECT_EQ(lists.lists.counts[0], 8);
}

}  // namespace
}  // namespace osprey::test
