#include "cuda/box_coder.h"

#include "cuda/launch.h"

// One thread per box everywhere: it alone reads and writes the box's row.
namespace osprey::cuda {
namespace {

__global__ void box_encode_kernel(View<const float> boxes, View<const float> anchors, BoxCoder coder,
                                  View<float> deltas) {
  const int row = global_thread();
  if (row >= deltas.shape.rows()) return;
  const Deltas d = coder.encode(box_of_row(boxes, row), anchor_of_row(anchors, row));
  set_row(deltas, row, {d.x, d.y, d.w, d.h});
}

__global__ void box_decode_kernel(View<const float> deltas, View<const float> anchors, BoxCoder coder,
                                  BoxClip clip, View<float> boxes) {
  const int row = global_thread();
  if (row >= boxes.shape.rows()) return;
  const Box b = coder.decode(deltas_of_row(deltas, row), anchor_of_row(anchors, row));
  set_row(boxes, row, clip.apply(b, row / boxes.shape.w));
}

__global__ void box_decode_backward_kernel(View<const float> deltas, View<const float> anchors,
                                           BoxCoder coder, BoxClip clip, View<const float> dboxes,
                                           View<float> ddeltas) {
  const int row = global_thread();
  if (row >= ddeltas.shape.rows()) return;
  const Deltas d = deltas_of_row(deltas, row);
  const Box anchor = anchor_of_row(anchors, row), b = coder.decode(d, anchor);
  const Box gradient = clip.backward(b, row / ddeltas.shape.w, box_of_row(dboxes, row));
  const Deltas g = coder.decode_backward(d, anchor, gradient);
  add_to_row(ddeltas, row, {g.x, g.y, g.w, g.h});
}

}  // namespace

void box_encode(Stream& s, View<const float> boxes, View<const float> anchors, BoxCoder coder,
                View<float> deltas) {
  launch<box_encode_kernel>(s, one_thread_each(deltas.shape.rows()), boxes, anchors, coder, deltas);
}

void box_decode(Stream& s, View<const float> deltas, View<const float> anchors, BoxCoder coder, BoxClip clip,
                View<float> boxes) {
  launch<box_decode_kernel>(s, one_thread_each(boxes.shape.rows()), deltas, anchors, coder, clip, boxes);
}

void box_decode_backward(Stream& s, View<const float> deltas, View<const float> anchors, BoxCoder coder,
                         BoxClip clip, View<const float> dboxes, View<float> ddeltas) {
  launch<box_decode_backward_kernel>(s, one_thread_each(ddeltas.shape.rows()), deltas, anchors, coder, clip,
                                     dboxes, ddeltas);
}

}  // namespace osprey::cuda
