// Anchors: the boxes that a head's numbers start from. A level has a few shapes, the same in every cell, laid
// out over its grid row by row: [H,W,A,4], in pixels of the network input.
#pragma once

#include <vector>

#include "core/box.h"

namespace osprey {

// The shapes of a cell, sizes times ratios, as boxes about (0, 0).
struct AnchorShapes {
  std::vector<float> sizes;   // square roots of the areas, in pixels
  std::vector<float> ratios;  // height over width: w = size / sqrt(r), h = size sqrt(r)
  // Which changes slower. torchvision, mmdetection and py-faster-rcnn: ratios; detectron2: sizes.
  enum class Order { ratios_first, sizes_first } order = Order::ratios_first;
  // detectron2 and mmdetection do not round; torchvision rounds corners to whole pixels, halves to even ones;
  // py-faster-rcnn the width and height that a size of `base` has, which it then scales.
  enum class Rounding { none, corners, base_sizes } rounding = Rounding::none;
  float base = 16;
};
// Throws an Error unless there are sizes and ratios, all above 0.
std::vector<Box> cell_anchors(const AnchorShapes& shapes);

// The sizes within an octave: base 2^(k/count). torchvision cuts them to whole pixels.
// "Focal Loss for Dense Object Detection", Lin et al., ICCV 2017, section 4: 3 from 4 times the stride.
std::vector<float> octave_sizes(float base, int count, bool whole = false);

// SSD's default boxes of a cell about (0, 0), A = 2 + 2 ratios: squares of min_size and of
// sqrt(min_size max_size), then of min_size's area those whose width is r times the height, and the reverse,
// for each ratio. Widths and heights are cut at `limit`, as torchvision does with the image's size.
// "SSD: Single Shot MultiBox Detector", Liu et al., ECCV 2016, section 2.2; sizes are its code's, not eq.
// 4's. Throws an Error unless all are above 0.
std::vector<Box> default_boxes(float min_size, float max_size, const std::vector<float>& ratios,
                               float limit = INFINITY);

// Where the shapes lie. Centres are at (column + offset) stride: 0 in torchvision, detectron2 and
// mmdetection, 0.5 (half a cell in) in SSD, py-faster-rcnn, YOLO and points of ATSS.
struct AnchorGrid {
  int rows = 0, columns = 0;
  float stride_x = 1, stride_y = 1;  // torchvision: whole, of the image's size over the grid's
  float offset = 0;

  HOST_DEVICE Box place(Box shape, int row, int column) const {
    const float x = (float(column) + offset) * stride_x, y = (float(row) + offset) * stride_y;
    return {shape.x1 + x, shape.y1 + y, shape.x2 + x, shape.y2 + y};
  }
  // Whether the cell begins within an image of this size, of which the network input is a padded copy.
  // mmdetection does not train the others.
  HOST_DEVICE bool begins_within(int row, int column, float width, float height) const {
    return float(column) * stride_x < width && float(row) * stride_y < height;
  }
};

// Whether a box lies in the image, but for `border` pixels. Faster R-CNN's paper and py-faster-rcnn (border
// 0) do not train other anchors; code with feature pyramids does.
HOST_DEVICE inline bool is_inside(Box b, float width, float height, float border = 0) {
  return b.x1 >= -border && b.y1 >= -border && b.x2 <= width + border && b.y2 <= height + border;
}

}  // namespace osprey
