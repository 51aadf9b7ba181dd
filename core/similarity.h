// How alike two boxes are, by one of several measures of which all reach 1, or nearly, for equal boxes: what
// matchers compare with their thresholds.
#pragma once

#include "core/nwd.h"

namespace osprey {

enum class Similarity { iou, nwd, dotd };

struct SimilarityRule {
  Similarity by = Similarity::iou;
  // Of nwd and dotd, see core/nwd.h: the size of the data set's objects in pixels, and what is added to
  // squared distances.
  float constant = 12.8f, eps = 1e-6f;

  HOST_DEVICE float operator()(Box a, Box b) const {
    switch (by) {
      case Similarity::nwd:
        return nwd(a, b, constant, eps);
      case Similarity::dotd:
        return dotd(a, b, constant, eps);
      default:
        return iou(a, b);
    }
  }
};

}  // namespace osprey
