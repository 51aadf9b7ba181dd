// Truths supply as many positives as their best predictions deserve, background the rest, and the cheapest
// way to serve every point decides: "OTA: Optimal Transport Assignment for Object Detection", Ge et al., CVPR
// 2021. The CPU side is in layers/matching/ota.cpp, the kernels in cuda/matching_ota.cu.
#pragma once

#include "core/losses.h"
#include "cuda/matching_points.h"
#include "cuda/sinkhorn.h"

namespace osprey {

struct OtaRule {
  float radius = 2.5f;        // of the square about a truth's centre, in strides, cut to the truth
  float margin = .01f;        // pixels that a point must lie in the truth
  float outside_cost = 1e6f;  // of a point that is not in both
  float overlap_weight = 1.5f;
  float alpha = .25f, gamma = 2;  // of the focal loss, summed over the classes
  int best_overlaps = 20;         // whose sum, cut to a whole number and at least 1, is what a truth supplies
  SinkhornRule sinkhorn;

  HOST_DEVICE bool inside(Box cell, Box truth) const {
    const Box square = centre_square(truth, cell, radius);
    const Box both = {fmaxf(square.x1, truth.x1), fmaxf(square.y1, truth.y1), fminf(square.x2, truth.x2),
                      fminf(square.y2, truth.y2)};
    return depth(cell, truth) > margin && depth(cell, both) > 0;
  }
  HOST_DEVICE float cost_of_class(float logit, bool object) const {
    return sigmoid_focal(logit, object ? 1.0f : 0.0f, alpha, gamma).loss;
  }
  // `none`: the focal loss of the point against no class at all; `own`: the logit of the truth's.
  HOST_DEVICE double cost(float none, float own, float overlap, bool inside) const {
    const float classes = none - cost_of_class(own, false) + cost_of_class(own, true);
    const float box = -logf(fmaxf(overlap, 1.1920929e-7f));  // the least step from 1 in floats
    return double(classes + overlap_weight * box) + (inside ? 0 : double(outside_cost));
  }
};

// M = capacity of the truths + 1: an image with T truths uses rows 0 to T, the last of which is background.
struct OtaScratch {
  View<double> cost;     // [N,1,M,P]
  View<float> supply;    // [N,1,1,M]
  View<int> rows;        // [N,1,1,1]: T + 1
  View<double> u, v;     // [N,1,1,M], [N,1,1,P]
  View<double> largest;  // [N,1,1,M]: of each row's v - cost

  HOST_DEVICE Transport transport() const { return {cost, supply, {}, rows, u, v}; }
};

// Writes match [N,1,1,P]: a truth or kBackground; overlap [N,1,1,P]: the IoU of the predicted box with that
// truth, else 0. classes are logits, objectness is not read. Each row of the plan is divided by its largest
// value, then each point goes to the row where it has most, of equal ones the first.
// labels [N,1,1,capacity of truths]: classes from 0.
namespace cpu {
void ota_matching(Stream&, PointPredictions, BoxLists truths, View<const int> labels, OtaRule, OtaScratch,
                  View<int> match, View<float> overlap);
}
namespace cuda {
void ota_matching(Stream&, PointPredictions, BoxLists truths, View<const int> labels, OtaRule, OtaScratch,
                  View<int> match, View<float> overlap);
}

}  // namespace osprey
