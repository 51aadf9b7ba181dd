// Boxes that lie in tensors: rows of four floats, x1,y1,x2,y2. Gradients of their corners lie there likewise.
#pragma once

#include "core/box.h"
#include "core/view.h"

namespace osprey {

HOST_DEVICE inline Box box_of_row(View<const float> rows, int row) {
  return {rows[4 * row], rows[4 * row + 1], rows[4 * row + 2], rows[4 * row + 3]};
}
HOST_DEVICE inline void set_row(View<float> rows, int row, Box b) {
  rows[4 * row] = b.x1;
  rows[4 * row + 1] = b.y1;
  rows[4 * row + 2] = b.x2;
  rows[4 * row + 3] = b.y2;
}
HOST_DEVICE inline void add_to_row(View<float> rows, int row, Box b) {
  rows[4 * row] += b.x1;
  rows[4 * row + 1] += b.y1;
  rows[4 * row + 2] += b.x2;
  rows[4 * row + 3] += b.y2;
}

}  // namespace osprey
