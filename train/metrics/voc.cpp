#include "train/metrics/voc.h"

#include "core/parallel.h"

namespace osprey {

namespace {

// The truth with the largest IoU, the first of equals; -1 if none overlaps at all.
int best_truth(const std::vector<TruthBox>& truths, std::span<const int> candidates, const Rectangle& box,
               double* best_iou) {
  int best = -1;
  *best_iou = 0;
  for (int t : candidates) {
    const double overlap = iou(truths[t].box, box);
    if (overlap > *best_iou) best = t, *best_iou = overlap;
  }
  return best;
}

bool counts(const TruthBox& truth) { return !truth.difficult && !truth.crowd; }

// Takes the truth; -1 is none.
Outcome outcome_of(const std::vector<TruthBox>& truths, int truth, std::vector<char>& taken) {
  if (truth < 0) return Outcome::is_false;
  if (!counts(truths[truth])) return Outcome::ignored;
  if (taken[truth]) return Outcome::is_false;
  taken[truth] = true;
  return Outcome::is_true;
}

}  // namespace

VocMetrics voc_metrics(const std::vector<TruthBox>& truths, const std::vector<DetectedBox>& detections,
                       int classes, VocPoints points, double iou_threshold) {
  const Grouped truths_of(truths, classes);
  const Grouped detections_of(detections, classes);
  VocMetrics metrics;
  metrics.per_class.resize(classes);
  std::vector<char> taken(truths.size());  // bytes, since the classes' threads write them side by side

  parallel_for(classes, 1, [&](int64_t first, int64_t last) {
    for (int c = int(first); c < last; ++c) {
      VocClass& result = metrics.per_class[c];
      for (int t : truths_of.of(c)) result.truths += counts(truths[t]);
      std::vector<Outcome> ranking;
      for (int d : by_score(detections, detections_of.of(c))) {
        double overlap = 0;
        const DetectedBox& detection = detections[d];
        const int best = best_truth(truths, truths_of.of(c, detection.image), detection.box, &overlap);
        const bool matched = best >= 0 && overlap > iou_threshold;
        ranking.push_back(outcome_of(truths, matched ? best : -1, taken));
      }
      result.curve = precision_recall(ranking, result.truths);
      if (!result.truths) continue;
      result.ap = points == VocPoints::eleven ? average_precision_11_points(result.curve)
                                              : average_precision_all_points(result.curve);
    }
  });

  double sum = 0;
  int counted = 0;
  for (const VocClass& c : metrics.per_class) {
    if (c.ap >= 0) sum += c.ap, ++counted;
  }
  if (counted) metrics.map = sum / counted;
  return metrics;
}

}  // namespace osprey
