#include "train/metrics/coco.h"

#include "core/parallel.h"
#include "train/metrics/precision_recall.h"

namespace osprey {

namespace {

// The detections of one class, image by image, and what became of each.
struct ClassMatches {
  std::vector<double> scores;
  std::vector<int> ranks;                      // of the detection in its image, from 0
  std::vector<std::vector<Outcome>> outcomes;  // [A * T][detection]
  std::vector<int> truths;                     // [A]: those that count
};

// One class in one image.
struct ImageBoxes {
  std::vector<const TruthBox*> truths;
  std::vector<const DetectedBox*> detections;  // best first
  std::vector<double> overlaps;                // [detections, truths]
};

// NumPy's linspace(0.5, 0.95, 10), to the last bit: an IoU may equal one of them.
std::vector<double> usual_thresholds() {
  const double step = (0.95 - 0.5) / 9;
  std::vector<double> thresholds;
  for (int i = 0; i < 9; ++i) thresholds.push_back(i * step + 0.5);
  thresholds.push_back(0.95);
  return thresholds;
}

bool outside(double area, const AreaRange& range) { return area < range.low || area > range.high; }

double overlap(const DetectedBox& detection, const TruthBox& truth) {
  if (!truth.crowd) return iou(detection.box, truth.box);
  const double i = intersection(detection.box, truth.box);
  return i <= 0 ? 0 : i / area(detection.box);
}

ImageBoxes boxes_of_image(const std::vector<TruthBox>& truths, std::span<const int> truth_positions,
                          const std::vector<DetectedBox>& detections,
                          std::span<const int> detection_positions, int max_detections) {
  ImageBoxes image;
  for (int t : truth_positions) image.truths.push_back(&truths[t]);
  for (int d : by_score(detections, detection_positions)) {
    if (int(image.detections.size()) == max_detections) break;
    image.detections.push_back(&detections[d]);
  }
  for (const DetectedBox* d : image.detections) {
    for (const TruthBox* t : image.truths) image.overlaps.push_back(overlap(*d, *t));
  }
  return image;
}

// Appends the outcome of each detection for one area and threshold. `order`: the truths, those that count
// first.
void match_image(const ImageBoxes& image, const std::vector<int>& order, size_t counted,
                 const AreaRange& range, double threshold, std::vector<Outcome>& outcomes) {
  std::vector<bool> taken(order.size());
  for (size_t d = 0; d < image.detections.size(); ++d) {
    const double* overlaps = image.overlaps.data() + d * order.size();
    double best = std::min(threshold, 1 - 1e-10);  // so that a threshold of 1 can be reached
    size_t match = order.size();
    for (size_t place = 0; place < order.size(); ++place) {
      if (place == counted && match < counted) break;  // one that counts is better than any that does not
      if (taken[place] && !image.truths[order[place]]->crowd) continue;
      if (overlaps[order[place]] >= best) best = overlaps[order[place]], match = place;
    }
    if (match < order.size()) {
      taken[match] = true;
      outcomes.push_back(match < counted ? Outcome::is_true : Outcome::ignored);
    } else {
      outcomes.push_back(outside(area(image.detections[d]->box), range) ? Outcome::ignored
                                                                        : Outcome::is_false);
    }
  }
}

void add_image(const ImageBoxes& image, const CocoOptions& options, ClassMatches& matches) {
  for (size_t d = 0; d < image.detections.size(); ++d) {
    matches.scores.push_back(image.detections[d]->score);
    matches.ranks.push_back(int(d));
  }
  for (size_t a = 0; a < options.areas.size(); ++a) {
    const auto counts = [&](int t) {
      return !image.truths[t]->crowd && !outside(image.truths[t]->object_area, options.areas[a]);
    };
    std::vector<int> order(image.truths.size());
    std::iota(order.begin(), order.end(), 0);
    const size_t counted = std::stable_partition(order.begin(), order.end(), counts) - order.begin();
    matches.truths[a] += int(counted);
    for (size_t t = 0; t < options.iou_thresholds.size(); ++t) {
      match_image(image, order, counted, options.areas[a], options.iou_thresholds[t],
                  matches.outcomes[a * options.iou_thresholds.size() + t]);
    }
  }
}

ClassMatches match_class(const std::vector<TruthBox>& truths, const Grouped<TruthBox>& truths_of,
                         const std::vector<DetectedBox>& detections,
                         const Grouped<DetectedBox>& detections_of, int class_id,
                         const CocoOptions& options) {
  std::vector<int> images;
  for (int t : truths_of.of(class_id)) images.push_back(truths[t].image);
  for (int d : detections_of.of(class_id)) images.push_back(detections[d].image);
  std::sort(images.begin(), images.end());
  images.erase(std::unique(images.begin(), images.end()), images.end());

  ClassMatches matches;
  matches.outcomes.resize(options.areas.size() * options.iou_thresholds.size());
  matches.truths.resize(options.areas.size());
  for (int image : images) {
    add_image(boxes_of_image(truths, truths_of.of(class_id, image), detections,
                             detections_of.of(class_id, image), options.max_detections.back()),
              options, matches);
  }
  return matches;
}

// The envelope of the curve: precision is the best at that recall or beyond.
PrecisionRecall envelope(const ClassMatches& matches, const std::vector<int>& ranking,
                         const std::vector<Outcome>& outcomes, int max_detections, int truths) {
  std::vector<Outcome> ranked;
  for (int d : ranking) {
    if (matches.ranks[d] < max_detections) ranked.push_back(outcomes[d]);
  }
  PrecisionRecall curve = precision_recall(ranked, truths);
  for (size_t i = curve.precision.size(); i-- > 1;) {
    curve.precision[i - 1] = std::max(curve.precision[i - 1], curve.precision[i]);
  }
  return curve;
}

// NumPy's linspace(0, 1, points)
double recall_point(int r, int points) { return r + 1 == points ? 1 : r * (1.0 / (points - 1)); }

void fill_class(const ClassMatches& matches, int k, const CocoOptions& options, CocoTable& table) {
  std::vector<int> ranking(matches.scores.size());
  std::iota(ranking.begin(), ranking.end(), 0);
  std::stable_sort(ranking.begin(), ranking.end(),
                   [&](int i, int j) { return matches.scores[i] > matches.scores[j]; });
  for (int a = 0; a < table.areas; ++a) {
    if (matches.truths[a] == 0) continue;
    for (int t = 0; t < table.thresholds; ++t) {
      PrecisionRecall curve;
      for (int m = 0; m < table.maxima; ++m) {
        curve = envelope(matches, ranking, matches.outcomes[a * table.thresholds + t],
                         options.max_detections[m], matches.truths[a]);
        table.recall[((size_t(t) * table.classes + k) * table.areas + a) * table.maxima + m] =
            curve.recall.empty() ? 0 : curve.recall.back();
      }
      for (int r = 0; r < table.recall_points; ++r) {
        const auto reached =
            std::lower_bound(curve.recall.begin(), curve.recall.end(), recall_point(r, table.recall_points));
        table.precision[((size_t(t) * table.recall_points + r) * table.classes + k) * table.areas + a] =
            reached == curve.recall.end() ? 0 : curve.precision[reached - curve.recall.begin()];
      }
    }
  }
}

class Mean {
 public:
  void add(double value) {
    if (value >= 0) sum_ += value, ++count_;
  }
  double value() const { return count_ ? sum_ / count_ : -1; }

 private:
  double sum_ = 0;
  int64_t count_ = 0;
};

}  // namespace

double CocoTable::average_precision(int area, int threshold, int class_id) const {
  Mean mean;
  for (int t = 0; t < thresholds; ++t) {
    for (int k = 0; k < classes; ++k) {
      if ((threshold >= 0 && t != threshold) || (class_id >= 0 && k != class_id)) continue;
      for (int r = 0; r < recall_points; ++r) mean.add(precision_at(t, r, k, area));
    }
  }
  return mean.value();
}

double CocoTable::average_recall(int area, int maximum) const {
  Mean mean;
  for (int t = 0; t < thresholds; ++t) {
    for (int k = 0; k < classes; ++k) mean.add(recall_at(t, k, area, maximum));
  }
  return mean.value();
}

CocoTable coco_table(const std::vector<TruthBox>& truths, const std::vector<DetectedBox>& detections,
                     int classes, const CocoOptions& given) {
  CocoOptions options = given;
  if (options.iou_thresholds.empty()) options.iou_thresholds = usual_thresholds();
  const Grouped truths_of(truths, classes);
  const Grouped detections_of(detections, classes);

  CocoTable table;
  table.thresholds = int(options.iou_thresholds.size());
  table.recall_points = options.recall_points;
  table.classes = classes;
  table.areas = int(options.areas.size());
  table.maxima = int(options.max_detections.size());
  const size_t cells = size_t(table.thresholds) * table.classes * table.areas;
  table.precision.assign(cells * table.recall_points, -1);
  table.recall.assign(cells * table.maxima, -1);
  parallel_for(classes, 1, [&](int64_t first, int64_t last) {
    for (int k = int(first); k < last; ++k) {
      fill_class(match_class(truths, truths_of, detections, detections_of, k, options), k, options, table);
    }
  });
  return table;
}

CocoMetrics coco_metrics(const std::vector<TruthBox>& truths, const std::vector<DetectedBox>& detections,
                         int classes) {
  const CocoTable table = coco_table(truths, detections, classes);
  CocoMetrics metrics;
  metrics.ap = table.average_precision(0);
  metrics.ap50 = table.average_precision(0, 0);
  metrics.ap75 = table.average_precision(0, 5);
  metrics.ap_small = table.average_precision(1);
  metrics.ap_medium = table.average_precision(2);
  metrics.ap_large = table.average_precision(3);
  metrics.ar1 = table.average_recall(0, 0);
  metrics.ar10 = table.average_recall(0, 1);
  metrics.ar100 = table.average_recall(0, 2);
  metrics.ar_small = table.average_recall(1, 2);
  metrics.ar_medium = table.average_recall(2, 2);
  metrics.ar_large = table.average_recall(3, 2);
  for (int k = 0; k < classes; ++k) {
    metrics.per_class.push_back(table.average_precision(0, -1, k));
    metrics.per_class50.push_back(table.average_precision(0, 0, k));
  }
  return metrics;
}

}  // namespace osprey
