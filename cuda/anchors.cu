#include "cuda/anchors.h"

#include "cuda/launch.h"

namespace osprey::cuda {
namespace {

// One thread per anchor.
__global__ void place_anchors_kernel(View<const float> shapes, AnchorGrid grid, View<float> anchors) {
  const int i = global_thread(), count = shapes.shape.rows();
  if (i >= anchors.size() / 4) return;
  const int cell = i / count;
  set_row(anchors, i, grid.place(box_of_row(shapes, i % count), cell / grid.columns, cell % grid.columns));
}

}  // namespace

void place_anchors(Stream& s, View<const float> shapes, AnchorGrid grid, View<float> anchors) {
  launch<place_anchors_kernel>(s, one_thread_each(anchors.size() / 4), shapes, grid, anchors);
}

}  // namespace osprey::cuda
