// The slopes by which Darknet teaches boxes with IoU, GIoU, DIoU or CIoU, once for both devices.
//
// They are the direction in which the measure grows, for the centre and size of the predicted box, but not
// its exact derivative, and networks were tuned with them as they are (reference: AlexeyAB's Darknet):
//   - the slopes of width and height are not halved, though an edge moves by half of what the width does;
//   - overlaps are not clamped at 0, so that boxes apart still pull at each other;
//   - the enclosing box's part in DIoU and CIoU has the opposite sign for width and height;
//   - where the boxes do not overlap, the parts beside IoU stand alone.
// EIoU, which Darknet does not have, differs from its exact slopes in the first alone.
#pragma once

#include <cmath>

#include "core/eiou.h"

namespace osprey {

enum class BoxLoss { mse, iou, giou, diou, ciou, eiou, nwd };
inline constexpr const char* kBoxLossNames[] = {"mse", "iou", "giou", "diou", "ciou", "eiou", "nwd"};

namespace iou_loss {

// Slopes along the edges of the predicted box; y grows downwards.
struct Edges {
  float left = 0, top = 0, right = 0, bottom = 0;
};

struct Pair {
  CentreBox p_centre, t_centre;
  Box p, t;            // predicted and true
  float iw, ih, i, u;  // overlaps, not clamped; intersection; union
  Box e;               // the enclosing box

  HOST_DEVICE Pair(CentreBox predicted, CentreBox truth)
      : p_centre(predicted), t_centre(truth), p(corners(predicted)), t(corners(truth)) {
    iw = fminf(p.x2, t.x2) - fmaxf(p.x1, t.x1);
    ih = fminf(p.y2, t.y2) - fmaxf(p.y1, t.y1);
    i = iw * ih;
    u = area(p) + area(t) - i;
    e = enclosing(p, t);
  }
  HOST_DEVICE bool apart() const { return iw <= 0 || ih <= 0; }

  HOST_DEVICE Edges intersection_slopes() const {
    return {p.x1 > t.x1 ? -ih : 0, p.y1 > t.y1 ? -iw : 0, p.x2 < t.x2 ? ih : 0, p.y2 < t.y2 ? iw : 0};
  }
  HOST_DEVICE Edges union_slopes() const {  // those of the predicted area less those of the intersection
    const Edges di = intersection_slopes();
    return {-p.height() - di.left, -p.width() - di.top, p.height() - di.right, p.width() - di.bottom};
  }
  HOST_DEVICE Edges enclosing_slopes() const {  // of its area
    const float w = e.width(), h = e.height();
    return {p.x1 < t.x1 ? -h : 0, p.y1 < t.y1 ? -w : 0, p.x2 > t.x2 ? h : 0, p.y2 > t.y2 ? w : 0};
  }
};

// The slopes of a/b.
HOST_DEVICE inline Edges quotient(float a, Edges da, float b, Edges db) {
  if (b <= 0) return {};
  const float s = b * b;
  return {(b * da.left - a * db.left) / s, (b * da.top - a * db.top) / s, (b * da.right - a * db.right) / s,
          (b * da.bottom - a * db.bottom) / s};
}

HOST_DEVICE inline CentreBox sum(CentreBox a, CentreBox b) {
  return {a.x + b.x, a.y + b.y, a.w + b.w, a.h + b.h};
}
HOST_DEVICE inline CentreBox of_centre(Edges d) {
  return {d.left + d.right, d.top + d.bottom, d.right - d.left, d.bottom - d.top};
}

// Of DIoU's part: minus the squared distance of the centres, s, over the squared diagonal c.
HOST_DEVICE inline CentreBox distance_slopes(const Pair& b) {
  const float dx = b.t_centre.x - b.p_centre.x, dy = b.t_centre.y - b.p_centre.y;
  const float w = b.e.width(), h = b.e.height(), s = dx * dx + dy * dy, c = w * w + h * h;
  if (c <= 0) return {};
  const float left = b.p.x1<b.t.x1, right = b.p.x2> b.t.x2, top = b.p.y1<b.t.y1, bottom = b.p.y2> b.t.y2;
  return {(2 * dx * c - 2 * w * (right - left) * s) / (c * c),
          (2 * dy * c - 2 * h * (bottom - top) * s) / (c * c), w * (right + left) * s / (c * c),
          h * (bottom + top) * s / (c * c)};
}

// Of CIoU's part: minus alpha v, the difference of the aspect ratios.
HOST_DEVICE inline CentreBox aspect_slopes(const Pair& b) {
  constexpr float kScale = 4 / (3.14159265f * 3.14159265f);
  const float angle = atanf(b.t_centre.w / b.t_centre.h) - atanf(b.p_centre.w / b.p_centre.h);
  const float v = kScale * angle * angle, alpha = v / (1 - b.i / b.u + v + 1e-6f);
  return {0, 0, alpha * 2 * kScale * angle * b.p_centre.h, -alpha * 2 * kScale * angle * b.p_centre.w};
}

// Of EIoU's parts: minus that distance, and minus those of width and height.
HOST_DEVICE inline CentreBox size_slopes(const Pair& b) {
  const Box s =
      overlap_slopes::sum(overlap_slopes::of_centre_distance(b.p, b.t), slopes_of_size_distance(b.p, b.t));
  return of_centre({-s.x1, -s.y1, -s.x2, -s.y2});
}

}  // namespace iou_loss

// The direction in which `kind` (neither mse nor nwd, which is no ratio of areas) of the two boxes grows, for
// x, y, w and h of `predicted`.
HOST_DEVICE inline CentreBox iou_ascent(BoxLoss kind, CentreBox predicted, CentreBox truth) {
  using namespace iou_loss;
  const Pair b(predicted, truth);
  const CentreBox plain = of_centre(quotient(b.i, b.intersection_slopes(), b.u, b.union_slopes()));
  CentreBox more;
  switch (kind) {
    case BoxLoss::mse:
    case BoxLoss::nwd:
    case BoxLoss::iou:
      return plain;
    case BoxLoss::giou:
      more = of_centre(quotient(b.u, b.union_slopes(), area(b.e), b.enclosing_slopes()));
      break;
    case BoxLoss::diou:
      more = distance_slopes(b);
      break;
    case BoxLoss::ciou:
      more = sum(distance_slopes(b), aspect_slopes(b));
      break;
    case BoxLoss::eiou:
      more = size_slopes(b);
      break;
  }
  return b.apart() ? more : sum(plain, more);
}

}  // namespace osprey
