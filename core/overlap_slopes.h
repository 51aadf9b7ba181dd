// The exact slopes of the IoU family of core/box.h along the corners of the predicted box, in the form of a
// box, for both devices. (Darknet's own slopes, which differ, are in core/iou_loss.h.)
//
// Where two corners are equal, maximum and minimum have no slope; each box gets half of it, as in PyTorch.
// Boxes that do not overlap, or only touch, have no slope of IoU; GIoU, DIoU and CIoU still pull them.
#pragma once

#include <cmath>

#include "core/box.h"
#include "core/nwd.h"

namespace osprey {
namespace overlap_slopes {

// How much max(p, t) follows p; min(p, t) follows it by share(t, p).
HOST_DEVICE inline float share(float p, float t) { return p > t ? 1 : p == t ? 0.5f : 0; }

HOST_DEVICE inline Box sum(Box a, Box b) { return {a.x1 + b.x1, a.y1 + b.y1, a.x2 + b.x2, a.y2 + b.y2}; }
HOST_DEVICE inline Box times(float f, Box b) { return {f * b.x1, f * b.y1, f * b.x2, f * b.y2}; }
HOST_DEVICE inline Box difference(Box a, Box b) { return sum(a, times(-1, b)); }

// The slopes of a/b; none where b is nothing.
HOST_DEVICE inline Box quotient(float a, Box da, float b, Box db) {
  if (b <= 0) return {0, 0, 0, 0};
  return times(1 / b, difference(da, times(a / b, db)));
}

HOST_DEVICE inline Box of_area(Box p) { return {-p.height(), -p.width(), p.height(), p.width()}; }

HOST_DEVICE inline Box of_intersection(Box p, Box t) {
  const float w = smaller(p.x2, t.x2) - larger(p.x1, t.x1), h = smaller(p.y2, t.y2) - larger(p.y1, t.y1);
  if (w <= 0 || h <= 0) return {0, 0, 0, 0};
  return {-h * share(p.x1, t.x1), -w * share(p.y1, t.y1), h * share(t.x2, p.x2), w * share(t.y2, p.y2)};
}

// Of the enclosing box's edges, each along its own corner: left and top move with their sign.
HOST_DEVICE inline Box of_enclosing_edges(Box p, Box t) {
  return {-share(t.x1, p.x1), -share(t.y1, p.y1), share(p.x2, t.x2), share(p.y2, t.y2)};
}

// What intersection, union and their slopes are.
struct Overlap {
  float i, u;
  Box di, du;
  HOST_DEVICE Overlap(Box p, Box t) : i(intersection(p, t)), u(area(p) + area(t) - i) {
    di = of_intersection(p, t);
    du = difference(of_area(p), di);
  }
};

// Of d^2/c^2: squared distance of the centres, squared diagonal of the enclosing box.
HOST_DEVICE inline Box of_centre_distance(Box p, Box t) {
  const Box e = enclosing(p, t), edges = of_enclosing_edges(p, t);
  const float w = e.width(), h = e.height();
  const Box of_diagonal = {2 * w * edges.x1, 2 * h * edges.y1, 2 * w * edges.x2, 2 * h * edges.y2};
  return quotient(squared_centre_distance(p, t), slopes_of_squared_centre_distance(p, t), w * w + h * h,
                  of_diagonal);
}

// Of v = 4/pi^2 (atan(wt/ht) - atan(w/h))^2.
HOST_DEVICE inline Box of_aspect_distance(Box p, Box t) {
  const float w = p.width(), h = p.height(), squares = w * w + h * h;
  if (squares <= 0) return {0, 0, 0, 0};
  const float angle = atan2f(t.width(), t.height()) - atan2f(w, h);
  const float factor = 8 / (3.14159265f * 3.14159265f) * angle / squares;
  const float dw = -factor * h, dh = factor * w;
  return {-dw, -dh, dw, dh};
}

}  // namespace overlap_slopes

HOST_DEVICE inline Box iou_slopes(Box p, Box t) {
  const overlap_slopes::Overlap o(p, t);
  return overlap_slopes::quotient(o.i, o.di, o.u, o.du);
}

// GIoU is IoU - 1 + U/C.
HOST_DEVICE inline Box giou_slopes(Box p, Box t) {
  using namespace overlap_slopes;
  const Overlap o(p, t);
  const Box e = enclosing(p, t), edges = of_enclosing_edges(p, t);
  const float w = e.width(), h = e.height();
  const Box of_area = {h * edges.x1, w * edges.y1, h * edges.x2, w * edges.y2};
  return sum(quotient(o.i, o.di, o.u, o.du), quotient(o.u, o.du, w * h, of_area));
}

HOST_DEVICE inline Box diou_slopes(Box p, Box t) {
  return overlap_slopes::difference(iou_slopes(p, t), overlap_slopes::of_centre_distance(p, t));
}

// CIoU takes off alpha v, alpha = v / (1 - IoU + v). The paper and torchvision hold alpha for a constant;
// with `whole` it too has slopes, which gives the derivative of the value (mmdetection 2.13).
HOST_DEVICE inline Box ciou_slopes(Box p, Box t, bool whole = false) {
  using namespace overlap_slopes;
  const Box plain = diou_slopes(p, t), dv = of_aspect_distance(p, t);
  const float v = aspect_distance(p, t), denominator = 1 - iou(p, t) + v;
  if (denominator <= 0) return plain;
  if (!whole) return difference(plain, times(v / denominator, dv));
  return difference(plain, quotient(v * v, times(2 * v, dv), denominator, difference(dv, iou_slopes(p, t))));
}

}  // namespace osprey
