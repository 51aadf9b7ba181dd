// Memory for the best rows of heads, in tests.
#pragma once

#include <vector>

#include "cuda/row_detections.h"

namespace osprey::test {

class OwnBestRows {
 public:
  OwnBestRows(Shape rows, const BestOfRows& best) {
    const int n = rows.n, classes = rows.c - kClasses, groups = best.groups(classes);
    int most = rows.w;
    if (!best.by_class) {
      most = 0;
      for (int l = 0; l < groups; ++l) most = std::max(most, best.levels.first[l + 1] - best.levels.first[l]);
    }
    const int of_group = std::min(best.top_k, most);
    take(work.scores, {best.by_class ? n * classes : n, 1, 1, rows.w});
    take(work.rows, {n, 1, groups, of_group});
    take(work.row_counts, {n, 1, 1, groups});
    take(work.ascending, {n, 1, groups, of_group});
    take(work.row_scores, {n, groups, of_group, classes});
    take(work.pairs, {n, 1, groups, best.by_class ? of_group : std::min(best.top_k, of_group * classes)});
    take(work.pair_counts, {n, 1, 1, groups});
  }
  OwnBestRows(const OwnBestRows&) = delete;

  BestOfRowsWork work;

 private:
  // What work holds before it is written must not matter.
  void take(View<float>& view, Shape shape) {
    floats_.emplace_back(size_t(shape.size()), 77.f);
    view = {floats_.back().data(), shape};
  }
  void take(View<int>& view, Shape shape) {
    ints_.emplace_back(size_t(shape.size()), 77);
    view = {ints_.back().data(), shape};
  }
  std::vector<std::vector<float>> floats_;
  std::vector<std::vector<int>> ints_;
};

}  // namespace osprey::test
