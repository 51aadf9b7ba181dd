#include "cuda/soft_nms.h"

#include <algorithm>

#include "core/parallel.h"

namespace osprey::cpu {
namespace {

// `order` holds the boxes selected so far, and behind them those that wait.
void soft_nms_of_class(SoftNmsLists lists, int image, int class_id, SoftNmsRule rule) {
  const int capacity = lists.capacity();
  int* const order = &lists.selected(image, 0, class_id, 0);
  float* const scores = &lists.scores(image, 0, class_id, 0);
  int end = 0;
  for (int i = 0; i < capacity; ++i) {
    if (i < lists.count(image) && scores[i] >= rule.min_score && scores[i] > SoftNmsRule::kGone)
      order[end++] = i;
    else
      scores[i] = SoftNmsRule::kGone;
  }
  const auto comes_before = [&](int a, int b) {
    return scores[a] > scores[b] || (scores[a] == scores[b] && a < b);
  };
  int selected = 0;
  while (selected < end) {
    std::swap(order[selected], *std::min_element(order + selected, order + end, comes_before));
    const Box better = lists.box(image, class_id, order[selected++]);
    int kept = selected;
    for (int at = selected; at < end; ++at) {
      const int i = order[at];
      scores[i] = rule.decayed(scores[i], better, lists.box(image, class_id, i));
      if (scores[i] > SoftNmsRule::kGone) order[kept++] = i;
    }
    end = kept;
  }
  std::fill(order + selected, order + capacity, -1);
  lists.selected_counts(image, 0, 0, class_id) = selected;
}

}  // namespace

void soft_nms(Stream&, SoftNmsLists lists, SoftNmsRule rule) {
  const int classes = lists.scores.shape.w;
  parallel_for(lists.scores.shape.n * classes, 1, [=](int64_t first, int64_t last) {
    for (int at = int(first); at < int(last); ++at)
      soft_nms_of_class(lists, at / classes, at % classes, rule);
  });
}

}  // namespace osprey::cpu
