// RoIPool: each RoI, rounded to whole cells, becomes a grid of bins, each the maximum of its cells. The CPU
// side is in layers/roi/roi_pool.cpp, the kernels in cuda/roi_pool.cu, the formulas in core/roi.h.
#pragma once

#include "core/roi.h"
#include "core/stream.h"
#include "core/tensor.h"
#include "cuda/roi_levels.h"

namespace osprey {

namespace cpu {
// x is the map [N,H,W,C], y and winner [N*R,bins,bins,C]. `winner` receives the cell h*W + w of each maximum,
// of equal values the first in reading order; -1 where a bin has no cell on the map, which gives 0; empty
// when not training. Writes the rows of the RoIs that are on map.level, and with level 0 also those of places
// that hold no RoI.
void roi_pool_forward(Stream&, View<const float> x, Rois, RoiMap, View<float> y, View<int> winner);
// Adds to dx what the RoIs on map.level send back.
void roi_pool_backward(Stream&, View<const float> dy, View<const int> winner, Rois, RoiMap, View<float> dx);
}  // namespace cpu

namespace cuda {
void roi_pool_forward(Stream&, Tensor x, Rois, RoiMap, Tensor y, View<int> winner);
void roi_pool_backward(Stream&, Tensor dy, View<const int> winner, Rois, RoiMap, Tensor dx);
}  // namespace cuda

}  // namespace osprey
