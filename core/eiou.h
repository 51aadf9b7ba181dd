// Efficient IoU: DIoU less the squared differences of width and height, each over the square of the enclosing
// box's. "Focal and Efficient IOU Loss for Accurate Bounding Box Regression", Zhang et al., Neurocomputing
// 506, 2022. With its exact slopes along the corners of the predicted box, for both devices.
#pragma once

#include "core/overlap_slopes.h"

namespace osprey {

HOST_DEVICE inline float size_distance(Box a, Box b) {
  const Box e = enclosing(a, b);
  const float dw = a.width() - b.width(), dh = a.height() - b.height();
  const float w = e.width() * e.width(), h = e.height() * e.height();
  return (w <= 0 ? 0 : dw * dw / w) + (h <= 0 ? 0 : dh * dh / h);
}

HOST_DEVICE inline float eiou(Box a, Box b) { return diou(a, b) - size_distance(a, b); }

HOST_DEVICE inline Box slopes_of_size_distance(Box p, Box t) {
  using namespace overlap_slopes;
  const Box e = enclosing(p, t), edges = of_enclosing_edges(p, t);
  const float dw = p.width() - t.width(), dh = p.height() - t.height(), w = e.width(), h = e.height();
  const Box of_widths = {-2 * dw, 0, 2 * dw, 0}, of_heights = {0, -2 * dh, 0, 2 * dh};
  return sum(quotient(dw * dw, of_widths, w * w, {2 * w * edges.x1, 0, 2 * w * edges.x2, 0}),
             quotient(dh * dh, of_heights, h * h, {0, 2 * h * edges.y1, 0, 2 * h * edges.y2}));
}

HOST_DEVICE inline Box eiou_slopes(Box p, Box t) {
  return overlap_slopes::difference(diou_slopes(p, t), slopes_of_size_distance(p, t));
}

}  // namespace osprey
