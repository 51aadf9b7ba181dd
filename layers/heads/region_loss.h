// The loss of [region]: which anchors learn which truths, and by how much (layers/heads/region_loss.cpp).
#pragma once

#include <vector>

#include "core/box.h"
#include "layers/heads/rows.h"
#include "layers/layer.h"

namespace osprey {

// Where the boxes of a [region] layer lie. Its rows hold x and y before the logistic.
struct RegionGrid {
  int classes = 20;
  std::vector<Anchor> anchors;  // cells of the grid
  int rows = 0, columns = 0;

  int row_length() const { return kClasses + classes; }
  // The box of a row at row j, column i of the grid, in units of the network input.
  CentreBox box(const float* row, Anchor anchor, int i, int j) const;
  CentreBox shape(Anchor anchor) const { return {0, 0, anchor.w / float(columns), anchor.h / float(rows)}; }
};

struct RegionLoss {
  float coord_scale = 1, object_scale = 1, noobject_scale = 1, class_scale = 1;
  float thresh = 0.5f;
  int classfix = 0;
  bool rescore = false, bias_match = false, focal_loss = false;
};

// Writes Darknet's delta, the negative gradient for the head's input, of the output y
// [N,H,W,anchors x (5 + classes)]. `seen` is how many images were trained before: the first 12800 also learn
// the anchors. `images` has one report per image, whose sum over the mini-batch, in order, is returned: equal
// for any number of threads.
LossReport region_loss(const RegionGrid& grid, const RegionLoss& loss, View<const float> y,
                       const Truths& truths, int64_t seen, View<float> delta,
                       std::vector<LossReport>& images);

}  // namespace osprey
