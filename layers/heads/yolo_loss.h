// The loss of [yolo]: which anchors learn which truths, and by how much (layers/heads/yolo_loss.cpp).
#pragma once

#include <limits>
#include <vector>

#include "layers/heads/rows.h"
#include "layers/layer.h"
#include "layers/losses/iou_loss.h"

namespace osprey {

enum class OverlapKind { iou, giou, diou, ciou };
inline constexpr const char* kOverlapKindNames[] = {"iou", "giou", "diou", "ciou"};

// Where the boxes of a [yolo] layer lie: its anchors, and the sizes that turn rows into boxes.
struct YoloGrid {
  int classes = 20;
  std::vector<Anchor> anchors;  // all `num` of them, pixels of the network input
  std::vector<int> mask;        // those of this layer
  bool new_coords = false;
  int rows = 0, columns = 0;
  float network_width = 0, network_height = 0;

  int row_length() const { return kClasses + classes; }
  // The box of an activated row at row j, column i, in units of the network input.
  CentreBox box(const float* row, Anchor anchor, int i, int j) const;
  CentreBox shape(Anchor anchor) const { return {0, 0, anchor.w / network_width, anchor.h / network_height}; }
};

struct YoloLoss {
  float ignore_thresh = 0.5f, truth_thresh = 1, iou_thresh = 1;
  OverlapKind iou_thresh_kind = OverlapKind::iou;
  BoxLoss box_loss = BoxLoss::mse;
  float iou_normalizer = 0.75f, obj_normalizer = 1, cls_normalizer = 1, delta_normalizer = 1;
  float max_delta = std::numeric_limits<float>::max();
  float label_smooth_eps = 0;
  bool objectness_smooth = false, focal_loss = false;
  std::vector<float> class_multipliers;  // from counters_per_class; empty without
};

// Writes Darknet's delta, the negative gradient for the head's input, of the activated output y
// [N,H,W,anchors x (5 + classes)]. `images` has one report per image, whose sum over the mini-batch, in
// order, is returned: equal for any number of threads.
LossReport yolo_loss(const YoloGrid& grid, const YoloLoss& loss, View<const float> y, const Truths& truths,
                     View<float> delta, std::vector<LossReport>& images);

}  // namespace osprey
