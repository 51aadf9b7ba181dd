// What heads of anchors share: boxes from deltas and back, on the CPU.

#include "cuda/box_coder.h"

namespace osprey::cpu {

void box_encode(Stream&, View<const float> boxes, View<const float> anchors, BoxCoder coder,
                View<float> deltas) {
  for (int row = 0; row < deltas.shape.rows(); ++row) {
    const Deltas d = coder.encode(box_of_row(boxes, row), anchor_of_row(anchors, row));
    set_row(deltas, row, {d.x, d.y, d.w, d.h});
  }
}

void box_decode(Stream&, View<const float> deltas, View<const float> anchors, BoxCoder coder, BoxClip clip,
                View<float> boxes) {
  for (int n = 0, row = 0; n < boxes.shape.n; ++n)
    for (int i = 0; i < boxes.shape.w; ++i, ++row) {
      const Box b = coder.decode(deltas_of_row(deltas, row), anchor_of_row(anchors, row));
      set_row(boxes, row, clip.apply(b, n));
    }
}

void box_decode_backward(Stream&, View<const float> deltas, View<const float> anchors, BoxCoder coder,
                         BoxClip clip, View<const float> dboxes, View<float> ddeltas) {
  for (int n = 0, row = 0; n < ddeltas.shape.n; ++n)
    for (int i = 0; i < ddeltas.shape.w; ++i, ++row) {
      const Deltas d = deltas_of_row(deltas, row);
      const Box anchor = anchor_of_row(anchors, row);
      const Box gradient = clip.backward(coder.decode(d, anchor), n, box_of_row(dboxes, row));
      const Deltas g = coder.decode_backward(d, anchor, gradient);
      add_to_row(ddeltas, row, {g.x, g.y, g.w, g.h});
    }
}

}  // namespace osprey::cpu
