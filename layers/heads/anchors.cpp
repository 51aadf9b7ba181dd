// The anchors of a level, on the CPU.

#include "cuda/anchors.h"

namespace osprey::cpu {

void place_anchors(Stream&, View<const float> shapes, AnchorGrid grid, View<float> anchors) {
  int i = 0;
  for (int row = 0; row < grid.rows; ++row)
    for (int column = 0; column < grid.columns; ++column)
      for (int a = 0; a < shapes.shape.rows(); ++a)
        set_row(anchors, i++, grid.place(box_of_row(shapes, a), row, column));
}

}  // namespace osprey::cpu
