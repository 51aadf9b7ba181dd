// What the matchers of points and truths by their predictions share (SimOTA, OTA). A point is given by the
// cell around it, a box: its centre is the point, its width the stride of its level.
#pragma once

#include "core/box_rows.h"
#include "cuda/matching.h"

namespace osprey {

// How deep a point lies in a box: its distance to the nearest edge, negative outside.
HOST_DEVICE inline float depth(Box cell, Box box) {
  const float x = (cell.x1 + cell.x2) / 2, y = (cell.y1 + cell.y2) / 2;
  return fminf(fminf(x - box.x1, box.x2 - x), fminf(y - box.y1, box.y2 - y));
}

// The square about the centre of a box that reaches `strides` strides of the cell in each direction.
HOST_DEVICE inline Box centre_square(Box box, Box cell, float strides) {
  const float x = (box.x1 + box.x2) / 2, y = (box.y1 + box.y2) / 2, reach = strides * cell.width();
  return {x - reach, y - reach, x + reach, y + reach};
}

// What a head says of P points; gradients do not flow through a matching.
struct PointPredictions {
  View<const Box> cells;         // [1,1,1,P], or [N,1,1,P]
  View<const float> boxes;       // [N,1,P,4]: corners, pixels of the network input
  View<const float> classes;     // [N,1,P,C]
  View<const float> objectness;  // [N,1,P,1]; no view: 1 (a logit of infinity)

  HOST_DEVICE int points() const { return cells.shape.c; }
  HOST_DEVICE int row(int image, int point) const { return image * points() + point; }
  HOST_DEVICE Box cell(int image, int point) const { return anchor_of(cells, image, point); }
  // IoU of the predicted box; 0 where it is not a number.
  HOST_DEVICE float overlap(int image, int point, Box truth) const {
    const float o = iou(box_of_row(boxes, row(image, point)), truth);
    return o > 0 ? o : 0;
  }
};

}  // namespace osprey
