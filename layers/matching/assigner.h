// Which row of an anchor head learns which truth: the matchers of cuda/matching_*.h behind one set of cfg
// keys.
#pragma once

#include "cuda/matching_max_iou.h"
#include "cuda/truth_lists.h"
#include "layers/layer.h"

namespace osprey {

class Assigner {
 public:
  // `otherwise`: the thresholds if the cfg gives none.
  void keys(Keys& k, MaxIouRule otherwise);
  // Of `rows` anchors in each image, and lists of truths of this capacity.
  void plan(Plan& p, int rows, int truths);
  // Writes match [N,1,1,R].
  void match(Stream& s, View<const Box> anchors, TruthLists truths, View<int> match) const;

 private:
  MaxIouRule max_iou_;
  View<float> best_, overlap_;
};

// Lists of truths in the planned memory of a head.
void plan_truth_lists(Plan& p, TruthLists& lists, int capacity);

}  // namespace osprey
