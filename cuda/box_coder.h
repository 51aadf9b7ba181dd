// Encoding and decoding of all boxes of a mini-batch by core/box_coder.h. The CPU side is in
// layers/heads/box_coder.cpp, the kernels in cuda/box_coder.cu.
//
// Boxes, deltas and their gradients are [N,1,B,4]. Anchors are [N,1,B,4] too, or [1,1,B,4] for all images.
// A head's [N,H,W,4A] has its numbers in the order of [N,1,HWA,4].
#pragma once

#include "core/box_coder.h"
#include "core/box_rows.h"
#include "core/stream.h"

namespace osprey {

// The anchor of a row of [N,1,B,4].
HOST_DEVICE inline Box anchor_of_row(View<const float> anchors, int row) {
  return box_of_row(anchors, row % anchors.shape.rows());
}

HOST_DEVICE inline Deltas deltas_of_row(View<const float> deltas, int row) {
  return {deltas[4 * row], deltas[4 * row + 1], deltas[4 * row + 2], deltas[4 * row + 3]};
}

// Of decoding: to what the boxes are clipped. Sizes are [N,1,1,2], width and height in pixels; without them
// nothing is clipped.
struct BoxClip {
  View<const float> sizes;

  HOST_DEVICE Box apply(Box b, int image) const {
    return sizes ? clipped(b, sizes[2 * image], sizes[2 * image + 1]) : b;
  }
  HOST_DEVICE Box backward(Box b, int image, Box gradient) const {
    return sizes ? clipped_backward(b, sizes[2 * image], sizes[2 * image + 1], gradient) : gradient;
  }
};

namespace cpu {
void box_encode(Stream&, View<const float> boxes, View<const float> anchors, BoxCoder, View<float> deltas);
void box_decode(Stream&, View<const float> deltas, View<const float> anchors, BoxCoder, BoxClip,
                View<float> boxes);
// Adds to ddeltas.
void box_decode_backward(Stream&, View<const float> deltas, View<const float> anchors, BoxCoder, BoxClip,
                         View<const float> dboxes, View<float> ddeltas);
}  // namespace cpu

namespace cuda {
void box_encode(Stream&, View<const float> boxes, View<const float> anchors, BoxCoder, View<float> deltas);
void box_decode(Stream&, View<const float> deltas, View<const float> anchors, BoxCoder, BoxClip,
                View<float> boxes);
void box_decode_backward(Stream&, View<const float> deltas, View<const float> anchors, BoxCoder, BoxClip,
                         View<const float> dboxes, View<float> ddeltas);
}  // namespace cuda

}  // namespace osprey
