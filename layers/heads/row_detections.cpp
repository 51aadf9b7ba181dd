#include "layers/heads/row_detections.h"

#include <algorithm>

namespace osprey {

void decode_rows(View<const float> rows, int image, float threshold, Candidates& out) {
  const int length = rows.shape.c, classes = length - kClasses;
  out.classes = classes;
  std::vector<float> scores(size_t(classes), 0.0f);
  for (int r = 0; r < rows.shape.w; ++r) {
    const float* row = &rows[(image * rows.shape.w + r) * length];
    bool any = false;
    for (int c = 0; c < classes; ++c) {
      const float score = row[kObjectness] * row[kClasses + c];
      scores[c] = score > threshold ? score : 0;
      any |= scores[c] > 0;
    }
    if (!any) continue;
    out.boxes.push_back({row[kX], row[kY], row[kW], row[kH]});
    out.objectness.push_back(row[kObjectness]);
    out.probabilities.insert(out.probabilities.end(), scores.begin(), scores.end());
  }
}

namespace {

struct Pair {
  float score;
  int row, class_id;

  bool before(const Pair& other) const {
    if (score != other.score) return score > other.score;
    return row != other.row ? row < other.row : class_id < other.class_id;
  }
};

int rows_of_largest_level(const AnchorLevels& levels) {
  int most = 0;
  for (int l = 0; l < levels.count; ++l) most = std::max(most, levels.first[l + 1] - levels.first[l]);
  return most;
}

}  // namespace

void decode_best_rows(View<const float> rows, const BestOfRows& best, int image, float threshold,
                      Candidates& out) {
  const int length = rows.shape.c, classes = length - kClasses;
  const float* const first = &rows[image * rows.shape.w * length];
  std::vector<std::vector<Pair>> groups(size_t(best.groups(classes)));
  for (int r = 0; r < rows.shape.w; ++r)
    for (int c = 0; c < classes; ++c) {
      const float score = first[r * length + kObjectness] * first[r * length + kClasses + c];
      if (score > threshold)
        groups[size_t(best.by_class ? c : best.levels.level_of(r))].push_back({score, r, c});
    }
  out.classes = classes;
  for (std::vector<Pair>& group : groups) {
    const size_t kept = std::min(group.size(), size_t(best.top_k));
    std::partial_sort(group.begin(), group.begin() + std::ptrdiff_t(kept), group.end(),
                      [](const Pair& a, const Pair& b) { return a.before(b); });
    group.resize(kept);
    for (const Pair& pair : group) {
      const float* row = first + pair.row * length;
      out.boxes.push_back({row[kX], row[kY], row[kW], row[kH]});
      out.objectness.push_back(row[kObjectness]);
      out.probabilities.resize(out.probabilities.size() + size_t(classes), 0.0f);
      out.of(out.count() - 1)[pair.class_id] = pair.score;
    }
  }
}

void RowList::plan(Plan& p, Shape rows, const AnchorLevels& levels, const NmsSettings& nms) {
  best_ = {levels, nms.top_k_of_class, nms.top_k};
  work_ = {};
  if (best_.top_k == 0 || p.training() || !p.on_gpu()) return;
  const int n = rows.n, classes = rows.c - kClasses, groups = best_.groups(classes);
  if (best_.by_class) {
    p.lasting(work_.scores, {n * classes, 1, 1, rows.w});
    p.lasting(work_.pairs, {n, 1, groups, std::min(best_.top_k, rows.w)});
  } else {
    const int of_level = std::min(best_.top_k, rows_of_largest_level(levels));
    p.lasting(work_.scores, {n, 1, 1, rows.w});
    p.lasting(work_.rows, {n, 1, groups, of_level});
    p.lasting(work_.row_counts, {n, 1, 1, groups});
    p.lasting(work_.ascending, {n, 1, groups, of_level});
    p.lasting(work_.row_scores, {n, groups, of_level, classes});
    p.lasting(work_.pairs, {n, 1, groups, std::min(best_.top_k, of_level * classes)});
  }
  p.lasting(work_.pair_counts, {n, 1, 1, groups});
}

void RowList::decode(View<const float> output, int image, float threshold, Candidates& out) const {
  if (best_.top_k > 0) return decode_best_rows(output, best_, image, threshold, out);
  decode_rows(output, image, threshold, out);
}

void RowList::list(Stream& s, View<const float> rows, float threshold, const DetectionLists& lists) const {
  if (best_.top_k > 0) return cuda::best_row_candidates(s, rows, best_, threshold, work_, lists);
  cuda::row_candidates(s, rows, threshold, lists);
}

Head::Listed RowList::most_listed(Shape rows) const {
  if (best_.top_k == 0) return {rows.w, rows.w, false};
  const int classes = rows.c - kClasses;
  int64_t pairs = 0;
  for (int g = 0; g < best_.groups(classes); ++g) {
    const int64_t of_group =
        best_.by_class ? rows.w : int64_t(best_.levels.first[g + 1] - best_.levels.first[g]) * classes;
    pairs += std::min<int64_t>(of_group, best_.top_k);
  }
  return {pairs, best_.by_class ? std::min(best_.top_k, rows.w) : pairs, true};
}

}  // namespace osprey
