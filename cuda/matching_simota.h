// Each truth takes the k points that it costs least, k by how well its best predictions overlap it: "YOLOX:
// Exceeding YOLO Series in 2021", Ge et al., arXiv 2107.08430, section 2.1. The CPU side is in
// layers/matching/simota.cpp, the kernels in cuda/matching_simota.cu.
#pragma once

#include "cuda/matching_points.h"

namespace osprey {

// The paper's form, as mmdetection has it, from probabilities.
struct SimOtaRule {
  float radius = 2.5f;        // of the square about a truth's centre, in strides
  bool in_boxes = true;       // points in a truth are candidates too, and those outside of it outside
  float outside_cost = 1e5f;  // of a candidate for a truth that it is outside of
  float class_weight = 1;     // of binary cross entropy over all classes
  float overlap_weight = 3;   // of -ln(IoU + eps)
  float eps = 1e-7f;
  int best_overlaps = 10;  // whose sum, cut to a whole number and at least 1, is k
  bool logits = false;     // of classes and objectness; false: probabilities

  // Today's YOLOX: only the square counts, and it is smaller.
  static SimOtaRule yolox() { return {1.5f, false, 1e6f, 1, 3, 1e-8f, 10, true}; }

  struct Place {
    bool candidate, inside;
  };
  // Where a point lies for one truth. It is a candidate, of all truths, if it is one for any.
  HOST_DEVICE Place place(Box cell, Box truth) const {
    const bool in_square = depth(cell, centre_square(truth, cell, radius)) > 0;
    if (!in_boxes) return {in_square, in_square};
    const bool in_box = depth(cell, truth) > 0;
    return {in_square || in_box, in_square && in_box};
  }

  // Cross entropy is of the square root of class times objectness; its logarithms end at -100, as PyTorch's.
  HOST_DEVICE float probability(const PointPredictions& p, int row, int class_id) const {
    const float c = p.classes[row * p.classes.shape.c + class_id], o = p.objectness ? p.objectness[row] : 1;
    if (!logits) return sqrtf(c * o);
    return sqrtf(1 / (1 + expf(-c)) * (p.objectness ? 1 / (1 + expf(-o)) : 1));
  }
  HOST_DEVICE static float cost_of_object(float probability) { return fminf(-logf(probability), 100); }
  HOST_DEVICE static float cost_of_none(float probability) { return fminf(-log1pf(-probability), 100); }

  // `none`: the cross entropy of the point against no class at all; `own`: the probability of the truth's.
  HOST_DEVICE float cost(float none, float own, float overlap, bool inside) const {
    const float classes = none - cost_of_none(own) + cost_of_object(own);
    return class_weight * classes + overlap_weight * -logf(overlap + eps) + (inside ? 0 : outside_cost);
  }
};

// Writes match [N,1,1,P]: a truth or kBackground; overlap [N,1,1,P]: the IoU of the predicted box with that
// truth, YOLOX's target for its class, else 0. A point that several truths take goes to the truth that it
// costs least (of all truths, as both codes have it). Where costs are equal, the first point or truth counts.
// labels [N,1,1,capacity of truths]: classes from 0. Scratch: cost [N,1,capacity,P], infinite where the point
// is no candidate; last [N,1,1,capacity]: the dearest point that each truth takes.
namespace cpu {
void simota_matching(Stream&, PointPredictions, BoxLists truths, View<const int> labels, SimOtaRule,
                     View<float> cost, View<int> last, View<int> match, View<float> overlap);
}
namespace cuda {
void simota_matching(Stream&, PointPredictions, BoxLists truths, View<const int> labels, SimOtaRule,
                     View<float> cost, View<int> last, View<int> match, View<float> overlap);
}

}  // namespace osprey
