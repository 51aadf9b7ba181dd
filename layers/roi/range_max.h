// The maximum of a rectangle of cells and where it is, for the CPU.
#pragma once

#include "core/roi.h"
#include "core/view.h"

namespace osprey::cpu {

// Writes the maxima over rows `h` and columns `w` of an image to the channels of y from index `to` on, and
// their cells, row * W + column, to `winner` unless it is empty. Of equal values the first in reading order
// wins; no cells give 0 and -1.
inline void write_range_max(View<const float> x, int image, CellRange h, CellRange w, View<float> y,
                            View<int> winner, int to) {
  for (int c = 0; c < x.shape.c; ++c) {
    int best = -1;
    for (int row = h.first; row <= h.last; ++row)
      for (int column = w.first; column <= w.last; ++column) {
        const int at = x.shape.index(image, row, column, c);
        if (best < 0 || x[at] > x[best]) best = at;
      }
    y[to + c] = best < 0 ? 0 : x[best];
    if (winner) winner[to + c] = best < 0 ? -1 : best / x.shape.c - image * x.shape.h * x.shape.w;
  }
}

// Sends the gradients of the channels of dy from index `from` on to the cells of the image that won.
inline void scatter_to_winners(View<const float> dy, View<const int> winner, int from, View<float> dx,
                               int image) {
  const int first = image * dx.shape.h * dx.shape.w;
  for (int c = 0; c < dx.shape.c; ++c)
    if (winner[from + c] >= 0) dx[(first + winner[from + c]) * dx.shape.c + c] += dy[from + c];
}

}  // namespace osprey::cpu
