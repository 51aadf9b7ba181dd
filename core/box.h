// Boxes and how much they overlap, as plain inline math for both devices.
//
// Inside the engine a box is its corners, x1,y1,x2,y2, continuous (a pixel spans [i, i+1), no +1). Darknet's
// labels, truths and heads speak of centres in units of the image, 0..1: that is a CentreBox. The conversions
// below are the only ones.
#pragma once

#include <cmath>

#include "core/device.h"
#include "core/extremes.h"

namespace osprey {

struct Box {  // corners
  float x1 = 0, y1 = 0, x2 = 0, y2 = 0;
  HOST_DEVICE float width() const { return x2 - x1; }
  HOST_DEVICE float height() const { return y2 - y1; }
};

struct CentreBox {  // centre and size
  float x = 0, y = 0, w = 0, h = 0;
};

HOST_DEVICE inline Box corners(CentreBox b) {
  return {b.x - b.w / 2, b.y - b.h / 2, b.x + b.w / 2, b.y + b.h / 2};
}
HOST_DEVICE inline CentreBox centre(Box b) {
  return {(b.x1 + b.x2) / 2, (b.y1 + b.y2) / 2, b.x2 - b.x1, b.y2 - b.y1};
}

// From units of an image 0..1 to its pixels, and back.
HOST_DEVICE inline Box scaled(Box b, float width, float height) {
  return {b.x1 * width, b.y1 * height, b.x2 * width, b.y2 * height};
}

// From corners that name the first and the last pixel inside, as VOC's do (before or after their 1 is taken
// off: that only moves the box), to ours: the widths "x2 - x1 + 1" become x2 - x1.
HOST_DEVICE inline Box from_inclusive(Box b) { return {b.x1, b.y1, b.x2 + 1, b.y2 + 1}; }

HOST_DEVICE inline float area(Box b) { return b.width() * b.height(); }

HOST_DEVICE inline float intersection(Box a, Box b) {
  const float w = smaller(a.x2, b.x2) - larger(a.x1, b.x1), h = smaller(a.y2, b.y2) - larger(a.y1, b.y1);
  return w > 0 && h > 0 ? w * h : 0;
}

// Intersection over union; 0 where the union is empty.
HOST_DEVICE inline float iou(Box a, Box b) {
  const float i = intersection(a, b), u = area(a) + area(b) - i;
  return i == 0 || u <= 0 ? 0 : i / u;
}

HOST_DEVICE inline Box enclosing(Box a, Box b) {
  return {smaller(a.x1, b.x1), smaller(a.y1, b.y1), larger(a.x2, b.x2), larger(a.y2, b.y2)};
}

// Squared distance of the centres over the squared diagonal of the enclosing box; 0 for two equal points.
HOST_DEVICE inline float centre_distance(Box a, Box b) {
  const Box e = enclosing(a, b);
  const float diagonal = e.width() * e.width() + e.height() * e.height();
  const float dx = (a.x1 + a.x2 - b.x1 - b.x2) / 2, dy = (a.y1 + a.y2 - b.y1 - b.y2) / 2;
  return diagonal <= 0 ? 0 : (dx * dx + dy * dy) / diagonal;
}

// The part of a that lies in b (intersection over foreground, as for crowds and regions to ignore).
HOST_DEVICE inline float coverage(Box a, Box b) {
  const float whole = area(a);
  return whole <= 0 ? 0 : intersection(a, b) / whole;
}

// Tells apart boxes that do not touch, where iou() is 0 for all: 1 for equal boxes, down to -1.
// "Generalized Intersection over Union", Rezatofighi et al., CVPR 2019, algorithm 1.
HOST_DEVICE inline float giou(Box a, Box b) {
  const float i = intersection(a, b), u = area(a) + area(b) - i, e = area(enclosing(a, b));
  return e <= 0 ? iou(a, b) : iou(a, b) - (e - u) / e;
}

// "Distance-IoU Loss", Zheng et al., AAAI 2020, eq. 7.
HOST_DEVICE inline float diou(Box a, Box b) { return iou(a, b) - centre_distance(a, b); }

// Difference of the aspect ratios' angles, 0..1. The same paper, eq. 9.
HOST_DEVICE inline float aspect_distance(Box a, Box b) {
  const float angle = atan2f(a.width(), a.height()) - atan2f(b.width(), b.height());
  return 4 / (3.14159265f * 3.14159265f) * angle * angle;
}

// Complete IoU. The same paper, eqs. 10 and 11.
HOST_DEVICE inline float ciou(Box a, Box b) {
  const float v = aspect_distance(a, b), denominator = 1 - iou(a, b) + v;
  return diou(a, b) - (denominator <= 0 ? 0 : v * v / denominator);
}

}  // namespace osprey
