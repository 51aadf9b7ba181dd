#include "train/metrics/precision_recall.h"

#include <algorithm>

namespace osprey {

PrecisionRecall precision_recall(const std::vector<Outcome>& ranking, int truths) {
  PrecisionRecall curve;
  double tp = 0, fp = 0;
  for (Outcome outcome : ranking) {
    tp += outcome == Outcome::is_true;
    fp += outcome == Outcome::is_false;
    curve.precision.push_back(tp + fp > 0 ? tp / (tp + fp) : 0);
    curve.recall.push_back(truths ? tp / truths : 0);
  }
  return curve;
}

double average_precision_11_points(const PrecisionRecall& curve) {
  double sum = 0;
  for (int point = 0; point <= 10; ++point) {
    const auto reached = std::lower_bound(curve.recall.begin(), curve.recall.end(), point * 0.1);
    const auto precision = curve.precision.begin() + (reached - curve.recall.begin());
    if (precision != curve.precision.end()) sum += *std::max_element(precision, curve.precision.end());
  }
  return sum / 11;
}

double average_precision_all_points(const PrecisionRecall& curve) {
  double sum = 0, best = 0;
  for (size_t rank = curve.recall.size(); rank-- > 0;) {
    best = std::max(best, curve.precision[rank]);
    sum += best * (curve.recall[rank] - (rank ? curve.recall[rank - 1] : 0));
  }
  return sum;
}

}  // namespace osprey
