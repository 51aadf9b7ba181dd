// The box loss of a row of a head whose numbers are relative to an anchor or a RoI, for both devices.
#pragma once

#include "core/box_coder.h"
#include "core/losses.h"

namespace osprey {

struct RowBoxLoss {
  bool on_deltas = true;  // smooth L1 of encoded deltas, else `of_boxes` of the decoded box
  float beta = 1;         // of smooth L1
  BoxLossRule of_boxes;

  struct Cost {
    float loss;
    Deltas slopes;  // along the row's numbers
  };
  // Coder: BoxCoder or RowCoder.
  template <class Coder>
  HOST_DEVICE Cost cost(const Coder& coder, Deltas d, Box anchor, Box truth) const {
    if (!on_deltas) {
      const BoxCost cost = of_boxes.cost(coder.decode(d, anchor), truth);
      return {cost.loss, coder.decode_backward(d, anchor, cost.slopes)};
    }
    const Deltas t = coder.encode(truth, anchor);
    const LossAndSlope x = smooth_l1(d.x, t.x, beta), y = smooth_l1(d.y, t.y, beta),
                       w = smooth_l1(d.w, t.w, beta), h = smooth_l1(d.h, t.h, beta);
    return {x.loss + y.loss + w.loss + h.loss, {x.slope, y.slope, w.slope, h.slope}};
  }
};

}  // namespace osprey
