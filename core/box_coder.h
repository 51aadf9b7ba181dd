// How networks say boxes: as four deltas from an anchor, or in YOLO's way from a cell. For both devices.
//
// Anchors have an area: who makes or proposes them refuses others, which would be divided by 0; so have the
// boxes that are encoded, of whose sizes the logarithm is taken.
#pragma once

#include <cmath>

#include "core/box.h"

namespace osprey {

struct Deltas {  // from the anchor: of the centre and of the size
  float x = 0, y = 0, w = 0, h = 0;
};

// A network that has learnt nothing must not say boxes without end: ln(1000/16), everybody's.
inline constexpr float kMaxLogRatio = 4.135166556742356f;

// Centres move in units of the anchor's size, sizes grow by factors whose logarithm is said.
// "Rich Feature Hierarchies for Accurate Object Detection and Semantic Segmentation", Girshick et al., CVPR
// 2014, appendix C. The weights bring deltas to about unit deviation:
//   RPN, RetinaNet                          1, 1
//   box head, SSD (its variances 0.1, 0.2)  10, 5     Cascade R-CNN's later stages 20, 10 and 30, 15
struct BoxCoder {
  float centre_weight = 1, size_weight = 1;
  // Bounds of the logarithm of the size over the anchor's when decoding. SSD has none; mmdetection has also a
  // lower one, -kMaxLogRatio.
  float min_log_ratio = -INFINITY, max_log_ratio = kMaxLogRatio;

  HOST_DEVICE Deltas encode(Box target, Box anchor) const {
    const CentreBox g = centre(target), a = centre(anchor);
    return {centre_weight * (g.x - a.x) / a.w, centre_weight * (g.y - a.y) / a.h,
            size_weight * logf(g.w / a.w), size_weight * logf(g.h / a.h)};
  }

  HOST_DEVICE Box decode(Deltas d, Box anchor) const {
    const CentreBox a = centre(anchor);
    return corners({a.x + d.x / centre_weight * a.w, a.y + d.y / centre_weight * a.h,
                    a.w * expf(bounded(d.w / size_weight)), a.h * expf(bounded(d.h / size_weight))});
  }

  // The gradient of the deltas, from that of the decoded corners; 0 beyond the bounds.
  HOST_DEVICE Deltas decode_backward(Deltas d, Box anchor, Box corners_gradient) const {
    const CentreBox a = centre(anchor);
    const Box& g = corners_gradient;
    return {(g.x1 + g.x2) * a.w / centre_weight, (g.y1 + g.y2) * a.h / centre_weight,
            (g.x2 - g.x1) / 2 * a.w * slope(d.w), (g.y2 - g.y1) / 2 * a.h * slope(d.h)};
  }

 private:
  HOST_DEVICE float bounded(float ratio) const {  // NaN stays NaN
    return ratio > max_log_ratio ? max_log_ratio : ratio < min_log_ratio ? min_log_ratio : ratio;
  }
  // Of the size in units of the anchor's.
  HOST_DEVICE float slope(float delta) const {
    const float ratio = delta / size_weight;
    return ratio > max_log_ratio || ratio < min_log_ratio ? 0 : expf(ratio) / size_weight;
  }
};

// The part of a box that lies in an image, [0,width] x [0,height].
HOST_DEVICE inline float clipped(float v, float size) { return v < 0 ? 0 : v > size ? size : v; }
HOST_DEVICE inline Box clipped(Box b, float width, float height) {
  return {clipped(b.x1, width), clipped(b.y1, height), clipped(b.x2, width), clipped(b.y2, height)};
}
// The gradient of a box's corners from that of the clipped ones: what was moved learns nothing.
HOST_DEVICE inline Box clipped_backward(Box b, float width, float height, Box g) {
  const bool left = b.x1 >= 0 && b.x1 <= width, top = b.y1 >= 0 && b.y1 <= height;
  const bool right = b.x2 >= 0 && b.x2 <= width, bottom = b.y2 >= 0 && b.y2 <= height;
  return {left ? g.x1 : 0, top ? g.y1 : 0, right ? g.x2 : 0, bottom ? g.y2 : 0};
}

// YOLO's: x and y, after the logistic, place the centre within a cell of `stride` pixels. The anchor is a box
// about the centre of that cell. Versions differ:
//   v2, v3      scale 1    w = anchor exp(w)     "YOLOv3: An Incremental Improvement", 2018
//   v4          scale 1.05 to 1.2: the centre may reach, and leave, the cell's edges
//   new_coords  scale 2    w = anchor (2w)^2, w after the logistic too     "Scaled-YOLOv4", CVPR 2021
struct YoloCoder {
  float stride = 32, scale = 1;
  bool squared_sizes = false;
  float eps = 1e-6f;  // keeps encoded values where a logistic can reach them

  HOST_DEVICE Deltas encode(Box target, Box anchor) const {
    const CentreBox g = centre(target), a = centre(anchor);
    return {inner((g.x - a.x) / stride / scale + 0.5f), inner((g.y - a.y) / stride / scale + 0.5f),
            encoded_size(g.w / a.w), encoded_size(g.h / a.h)};
  }

  HOST_DEVICE Box decode(Deltas p, Box anchor) const {
    const CentreBox a = centre(anchor);
    return corners({a.x + scale * (p.x - 0.5f) * stride, a.y + scale * (p.y - 0.5f) * stride,
                    a.w * decoded_size(p.w), a.h * decoded_size(p.h)});
  }

  // The gradient of what is decoded, from that of the corners.
  HOST_DEVICE Deltas decode_backward(Deltas p, Box anchor, Box corners_gradient) const {
    const Box& g = corners_gradient;
    const auto slope = [&](float v) { return squared_sizes ? 8 * v : expf(v); };
    return {(g.x1 + g.x2) * scale * stride, (g.y1 + g.y2) * scale * stride,
            (g.x2 - g.x1) / 2 * anchor.width() * slope(p.w),
            (g.y2 - g.y1) / 2 * anchor.height() * slope(p.h)};
  }

 private:
  HOST_DEVICE float inner(float v) const { return v < eps ? eps : v > 1 - eps ? 1 - eps : v; }
  HOST_DEVICE float encoded_size(float ratio) const {
    return squared_sizes ? inner(sqrtf(ratio) / 2) : logf(ratio < eps ? eps : ratio);
  }
  HOST_DEVICE float decoded_size(float v) const { return squared_sizes ? 4 * v * v : expf(v); }
};

}  // namespace osprey
