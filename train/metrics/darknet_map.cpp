#include "train/metrics/darknet_map.h"

#include <algorithm>

#include "core/parallel.h"
#include "train/metrics/precision_recall.h"

namespace osprey {

namespace {

struct Match {
  int truth = -1;        // the truth with the largest IoU above the threshold
  double iou = 0;        // with that truth
  bool dropped = false;  // overlaps a difficult truth, and no other
};

// Crowds are what Darknet's label files cannot say; they are treated as difficult.
bool counts(const TruthBox& truth) { return !truth.difficult && !truth.crowd; }

Match match(const std::vector<TruthBox>& truths, std::span<const int> candidates,
            const DetectedBox& detection, double threshold) {
  Match found;
  bool on_difficult = false;
  for (int t : candidates) {
    const double overlap = iou(detection.box, truths[t].box);
    if (overlap <= threshold) continue;
    if (!counts(truths[t])) {
      on_difficult = true;
    } else if (overlap > found.iou) {
      found.truth = t, found.iou = overlap;
    }
  }
  found.dropped = found.truth < 0 && on_difficult;
  return found;
}

// Darknet is compiled with -Ofast, which turns the division by points-1 into a product with its inverse. So
// some recalls are a last bit higher, 0.6 with 11 points for one, and a recall of exactly 0.6 does not reach
// them.
double mean_over_points(const PrecisionRecall& curve, int points) {
  const double step = 1.0 / (points - 1);
  // Recall never falls, so the best precision beyond a recall is a running maximum from the end.
  double sum = 0, best = 0;
  size_t rank = curve.recall.size();
  for (int point = points - 1; point >= 0; --point) {
    while (rank > 0 && curve.recall[rank - 1] >= point * step) best = std::max(best, curve.precision[--rank]);
    sum += best;
  }
  return sum / points;
}

// Average precision of one class from its detections, best score first.
double average_precision(const std::vector<Match>& matches, const std::vector<int>& ranking, int truths,
                         std::vector<char>& taken, int points) {
  std::vector<Outcome> outcomes;
  for (int d : ranking) {
    const Match& m = matches[d];
    if (m.dropped) continue;
    const bool found = m.truth >= 0 && !taken[m.truth];
    if (found) taken[m.truth] = true;
    outcomes.push_back(found ? Outcome::is_true : Outcome::is_false);
  }
  const PrecisionRecall curve = precision_recall(outcomes, truths);
  return points == 0 ? average_precision_all_points(curve) : mean_over_points(curve, points);
}

// Counts of one class at the confidence. A truth is seen by the first detection that matches it, whatever its
// score: a later one is a false positive even when the first is below the confidence.
double count_at_confidence(const std::vector<DetectedBox>& detections, const std::vector<Match>& matches,
                           std::span<const int> of_class, std::vector<char>& seen, double confidence,
                           DarknetClass& result) {
  double iou_sum = 0;
  for (int d : of_class) {
    const Match& m = matches[d];
    const bool first = m.truth >= 0 && !seen[m.truth];
    if (first) seen[m.truth] = true;
    if (detections[d].score <= confidence) continue;
    ++(first ? result.true_positives : result.false_positives);
    if (first) iou_sum += m.iou;
  }
  return iou_sum;
}

void total(DarknetMap& map, double iou_sum) {
  for (const DarknetClass& c : map.per_class) {
    map.map += c.ap / double(map.per_class.size());
    map.truths += c.truths;
    map.true_positives += c.true_positives;
    map.false_positives += c.false_positives;
  }
  const double tp = map.true_positives, found = tp + map.false_positives;
  map.false_negatives = map.truths - map.true_positives;
  map.precision = found > 0 ? tp / found : 0;
  map.recall = map.truths > 0 ? tp / map.truths : 0;
  map.f1 = tp > 0 ? 2 * map.precision * map.recall / (map.precision + map.recall) : 0;
  map.average_iou = found > 0 ? iou_sum / found : 0;
}

}  // namespace

void check(const DarknetMapOptions& options) {
  if (options.points != 0 && options.points != 11 && options.points != 101)
    fail("points={}: Darknet's mean average precision has 0 (area under the curve), 11 or 101",
         options.points);
}

DarknetMap darknet_map(const std::vector<TruthBox>& truths, const std::vector<DetectedBox>& detections,
                       int classes, const DarknetMapOptions& options) {
  check(options);
  const Grouped truths_of(truths, classes);
  const Grouped detections_of(detections, classes);
  std::vector<Match> matches(detections.size());
  parallel_for(int64_t(detections.size()), 1024, [&](int64_t first, int64_t last) {
    for (int64_t d = first; d < last; ++d) {
      const std::span<const int> candidates = truths_of.of(detections[d].class_id, detections[d].image);
      matches[d] = match(truths, candidates, detections[d], options.iou_threshold);
    }
  });

  DarknetMap map;
  map.per_class.resize(classes);
  double iou_sum = 0;
  std::vector<char> taken(truths.size()), seen(truths.size());
  for (int c = 0; c < classes; ++c) {
    DarknetClass& result = map.per_class[c];
    for (int t : truths_of.of(c)) result.truths += counts(truths[t]);
    const std::span<const int> of_class = detections_of.of(c);
    result.ap =
        average_precision(matches, by_score(detections, of_class), result.truths, taken, options.points);
    iou_sum += count_at_confidence(detections, matches, of_class, seen, options.confidence, result);
  }
  map.detections =
      int(std::count_if(matches.begin(), matches.end(), [](const Match& m) { return !m.dropped; }));
  total(map, iou_sum);
  return map;
}

}  // namespace osprey
