#include "cuda/truth_lists.h"

#include <algorithm>

namespace osprey {

void cpu::list_truths(Stream&, Truths truths, float width, float height, int classes, TruthLists lists) {
  for (int image = 0; image < truths.counts.size(); ++image) {
    int listed = 0;
    for (int t = 0; t < std::min(truths.counts[image], lists.boxes.shape.c); ++t) {
      Truth truth;
      if (!read_truth(truths, image, t, classes, truth)) continue;
      lists.boxes(image, 0, 0, listed) = scaled(corners(truth.box), width, height);
      lists.labels(image, 0, 0, listed++) = truth.class_id;
    }
    lists.counts[image] = listed;
  }
}

}  // namespace osprey
