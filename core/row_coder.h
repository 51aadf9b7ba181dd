// How the four numbers of a row of an anchor head become a box, for both devices.
#pragma once

#include "core/box_coder.h"

namespace osprey {

struct RowCoder {
  // deltas: the box relative to its anchor. distances: exp of the numbers, times the anchor's width and
  // height, are the distances of the box's sides from the anchor's centre (left, top, right, bottom), as in
  // "FCOS: Fully Convolutional One-Stage Object Detection", Tian et al., ICCV 2019, section 3.1, whose
  // anchors are points: a cell of its level.
  enum class Kind { deltas, distances } kind = Kind::deltas;
  BoxCoder coder;

  // Of deltas only.
  HOST_DEVICE Deltas encode(Box target, Box anchor) const { return coder.encode(target, anchor); }

  HOST_DEVICE Box decode(Deltas d, Box anchor) const {
    if (kind == Kind::deltas) return coder.decode(d, anchor);
    const CentreBox a = centre(anchor);
    return {a.x - distance(d.x) * a.w, a.y - distance(d.y) * a.h, a.x + distance(d.w) * a.w,
            a.y + distance(d.h) * a.h};
  }
  HOST_DEVICE Deltas decode_backward(Deltas d, Box anchor, Box g) const {
    if (kind == Kind::deltas) return coder.decode_backward(d, anchor, g);
    const float w = anchor.width(), h = anchor.height();
    return {-g.x1 * w * slope(d.x), -g.y1 * h * slope(d.y), g.x2 * w * slope(d.w), g.y2 * h * slope(d.h)};
  }

 private:
  // Bounded like the sizes of deltas, so that a number blown up stays finite.
  HOST_DEVICE float distance(float v) const {
    return expf(v > coder.max_log_ratio ? coder.max_log_ratio : v);
  }
  HOST_DEVICE float slope(float v) const { return v > coder.max_log_ratio ? 0 : expf(v); }
};

}  // namespace osprey
