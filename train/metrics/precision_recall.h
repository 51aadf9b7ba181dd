// From a ranking of detections to one number, average precision.
#pragma once

#include <vector>

namespace osprey {

// What became of a detection. An ignored one matched what is not to be found, and repeats the point of the
// curve before it, which changes no average.
enum class Outcome : char { is_false, is_true, ignored };

// After each detection of a ranking, best score first: what part of the detections so far is true (0 before
// there are any), and what part of the truths has been found. Recall never falls.
struct PrecisionRecall {
  std::vector<double> precision, recall;
};

PrecisionRecall precision_recall(const std::vector<Outcome>& ranking, int truths);

// The mean, over the 11 recalls 0, 0.1 .. 1, of the best precision at that recall or beyond. PASCAL VOC up to
// 2009: Everingham et al., "The PASCAL Visual Object Classes (VOC) Challenge", IJCV 2010, section 4.2. The
// recalls are NumPy's arange(0, 1.1, 0.1): one of them is 0.30000000000000004, which a recall of 0.3 does not
// reach.
double average_precision_11_points(const PrecisionRecall& curve);

// The area under that envelope of the curve, from recall to recall. PASCAL VOC since 2010.
double average_precision_all_points(const PrecisionRecall& curve);

}  // namespace osprey
