// The truths that the kRoiMatch of a table names: all that have an area, of any class, so that every layer
// that reads the table lists the same.
#pragma once

#include <climits>

#include "cuda/truth_lists.h"
#include "layers/layer.h"

namespace osprey {

class RoiTruths {
 public:
  void plan(Plan& p, int most) {
    network_ = p.options().network_input;
    p.truths(truths_, most);
    p.scratch(lists_.boxes, {network_.n, 1, 1, most});
    p.scratch(lists_.labels, {network_.n, 1, 1, most});
    p.scratch(lists_.counts, {network_.n, 1, 1, 1});
  }
  TruthLists list(Stream& s) const {
    on(s, cpu::list_truths, cuda::list_truths)(s, truths_, float(network_.w), float(network_.h), INT_MAX,
                                               lists_);
    return lists_;
  }

 private:
  Shape network_;
  Truths truths_;
  TruthLists lists_;
};

}  // namespace osprey
