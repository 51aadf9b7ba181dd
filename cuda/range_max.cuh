// The maximum of a rectangle of cells, for each channel of a pack, and where it is.
#pragma once

#include "core/roi.h"
#include "cuda/pack.cuh"

namespace osprey::cuda {

// Writes the maxima of the cells in rows `h` and columns `w` of an image to y, and their places in the map to
// `winner` unless it is empty. Of equal values the first in reading order wins; no cells give 0 and -1.
template <int N, class T>
__device__ void store_range_max(View<const T> x, int image, CellRange h, CellRange w, View<T> y,
                                View<int> winner, int to) {
  const int c = to % x.shape.c;
  Floats<N> largest{};
  Pack<int, N> best;
  for (int k = 0; k < N; ++k) best[k] = -1;
  for (int row = h.first; row <= h.last; ++row)
    for (int column = w.first; column <= w.last; ++column) {
      const Floats<N> values = load<N>(x, x.shape.index(image, row, column, c));
      for (int k = 0; k < N; ++k) {
        if (best[k] >= 0 && !(values[k] > largest[k])) continue;
        largest[k] = values[k];
        best[k] = row * x.shape.w + column;
      }
    }
  store(y, to, largest);
  for (int k = 0; winner && k < N; ++k) winner[to + k] = best[k];
}

// Adds those gradients of an output's pack whose maximum was `cell`.
template <int N, class T>
__device__ void add_if_winner(Floats<N>& sum, View<const T> dy, View<const int> winner, int from, int cell) {
  const Floats<N> gradients = load<N>(dy, from);
  for (int k = 0; k < N; ++k)
    if (winner[from + k] == cell) sum[k] += gradients[k];
}

}  // namespace osprey::cuda
