#include "layers/nms/nms.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>

#include "core/parallel.h"

namespace osprey {
namespace {

// The indexes of scores, highest first; equal ones keep their order.
std::vector<int> by_falling_score(const std::vector<float>& scores) {
  std::vector<int> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  const auto rank = [&](int i) {
    return std::isnan(scores[i]) ? -std::numeric_limits<float>::infinity() : scores[i];
  };
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return rank(a) > rank(b); });
  return order;
}

// For boxes by falling score, whether each stays.
std::vector<char> survivors(const std::vector<Box>& sorted, NmsRule rule) {
  std::vector<char> stays(sorted.size(), 1);
  for (size_t i = 0; i < sorted.size(); ++i) {
    if (!stays[i]) continue;
    for (size_t j = i + 1; j < sorted.size(); ++j)
      if (stays[j] && rule.suppresses(sorted[i], sorted[j])) stays[j] = 0;
  }
  return stays;
}

// Probabilities that are not 0, of boxes that suppress each other.
struct Rivals {
  std::vector<Box> boxes;
  std::vector<float*> probabilities;

  void add(Candidates& candidates, int i, float& probability) {
    if (probability == 0) return;
    boxes.push_back(corners(candidates.boxes[i]));
    probabilities.push_back(&probability);
  }
  std::vector<float> scores() const {
    std::vector<float> all;
    for (const float* p : probabilities) all.push_back(*p);
    return all;
  }
};

// What every list of rivals, those of a class or all of them, undergoes. Classes touch different
// probabilities, so they can run side by side.
template <class Suppress>
void for_rivals(Candidates& candidates, bool classes_apart, Suppress suppress) {
  if (!classes_apart) {
    Rivals rivals;
    for (int i = 0; i < candidates.count(); ++i) {
      float* const all = candidates.of(i);
      float* const best = std::max_element(all, all + candidates.classes);
      for (float* p = all; p < all + candidates.classes; ++p)
        if (p != best) *p = 0;
      rivals.add(candidates, i, *best);
    }
    return suppress(rivals);
  }
  parallel_for(candidates.classes, 1, [&](int64_t first, int64_t last) {
    for (int64_t c = first; c < last; ++c) {
      Rivals rivals;
      for (int i = 0; i < candidates.count(); ++i) rivals.add(candidates, i, candidates.of(i)[c]);
      suppress(rivals);
    }
  });
}

void nms_of_rivals(const Rivals& rivals, NmsRule rule) {
  const std::vector<int> order = by_falling_score(rivals.scores());
  std::vector<Box> sorted;
  for (int at : order) sorted.push_back(rivals.boxes[at]);
  const std::vector<char> stays = survivors(sorted, rule);
  for (size_t i = 0; i < order.size(); ++i)
    if (!stays[i]) *rivals.probabilities[order[i]] = 0;
}

void soft_nms_of_rivals(const Rivals& rivals, SoftNmsRule rule) {
  if (rivals.boxes.empty()) return;  // a list without room has no first box to point to
  const int count = int(rivals.boxes.size());
  std::vector<float> scores = rivals.scores();
  std::vector<int> selected(scores.size());
  int selected_count = 0;
  const Shape shape = {1, 1, 1, count}, one = {1, 1, 1, 1};
  Stream stream;
  cpu::soft_nms(stream,
                {{rivals.boxes.data(), shape},
                 {&count, one},
                 {scores.data(), shape},
                 {selected.data(), shape},
                 {&selected_count, one}},
                rule);
  for (int i = 0; i < count; ++i) *rivals.probabilities[i] = scores[i] > SoftNmsRule::kGone ? scores[i] : 0;
}

void drop_without_objectness(Candidates& c) {
  int kept = 0;
  for (int i = 0; i < c.count(); ++i) {
    if (c.objectness[i] == 0) continue;
    c.boxes[kept] = c.boxes[i];
    c.objectness[kept] = c.objectness[i];
    std::copy_n(c.of(i), c.classes, c.of(kept));
    ++kept;
  }
  c.boxes.resize(kept);
  c.objectness.resize(kept);
  c.probabilities.resize(size_t(kept) * c.classes);
}

}  // namespace

void nms(Candidates& candidates, NmsRule rule, bool classes_apart) {
  assert(rule.threshold >= 0);
  drop_without_objectness(candidates);
  for_rivals(candidates, classes_apart, [&](const Rivals& rivals) { nms_of_rivals(rivals, rule); });
}

void soft_nms(Candidates& candidates, SoftNmsRule rule, bool classes_apart) {
  drop_without_objectness(candidates);
  for_rivals(candidates, classes_apart, [&](const Rivals& rivals) { soft_nms_of_rivals(rivals, rule); });
}

std::vector<int> nms(const std::vector<Box>& boxes, const std::vector<float>& scores, float threshold,
                     NmsKind kind, float beta) {
  return nms(boxes, scores, {threshold, kind, beta});
}

std::vector<int> nms(const std::vector<Box>& boxes, const std::vector<float>& scores, NmsRule rule) {
  assert(boxes.size() == scores.size() && rule.threshold >= 0);
  const std::vector<int> order = by_falling_score(scores);
  std::vector<Box> sorted;
  for (int i : order) sorted.push_back(boxes[i]);
  const std::vector<char> stays = survivors(sorted, rule);
  std::vector<int> kept;
  for (size_t i = 0; i < order.size(); ++i)
    if (stays[i]) kept.push_back(order[i]);
  return kept;
}

std::vector<int> batched_nms(const std::vector<Box>& boxes, const std::vector<float>& scores,
                             const std::vector<int>& classes, float threshold) {
  assert(boxes.size() == classes.size());
  std::map<int, std::vector<int>> members;
  for (size_t i = 0; i < classes.size(); ++i) members[classes[i]].push_back(int(i));
  std::vector<char> stays(boxes.size());
  for (const auto& [class_id, indexes] : members) {
    std::vector<Box> own_boxes;
    std::vector<float> own_scores;
    for (int i : indexes) own_boxes.push_back(boxes[i]), own_scores.push_back(scores[i]);
    for (int k : nms(own_boxes, own_scores, threshold)) stays[indexes[k]] = 1;
  }
  std::vector<int> kept;
  for (int i : by_falling_score(scores))
    if (stays[i]) kept.push_back(i);
  return kept;
}

}  // namespace osprey
