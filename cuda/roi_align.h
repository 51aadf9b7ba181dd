// RoIAlign: each RoI becomes a grid of bins of equal size, each the mean of bilinear samples of the map. The
// CPU side is in layers/roi/roi_align.cpp, the kernels in cuda/roi_align.cu, the formulas in core/roi.h.
#pragma once

#include "core/roi.h"
#include "core/stream.h"
#include "core/tensor.h"
#include "cuda/roi_levels.h"

namespace osprey {

namespace cpu {
// x is the map [N,H,W,C], y [N*R,bins,bins,C]. Writes the rows of the RoIs that are on map.level, and with
// level 0 also zeros to the rows of places that hold no RoI.
void roi_align_forward(Stream&, View<const float> x, Rois, RoiMap, View<float> y, RoiAlign);
// Adds to dx what the RoIs on map.level send back. Boxes get no gradient.
void roi_align_backward(Stream&, View<const float> dy, Rois, RoiMap, View<float> dx, RoiAlign);
}  // namespace cpu

namespace cuda {
void roi_align_forward(Stream&, Tensor x, Rois, RoiMap, Tensor y, RoiAlign);
void roi_align_backward(Stream&, Tensor dy, Rois, RoiMap, Tensor dx, RoiAlign);
}  // namespace cuda

}  // namespace osprey
