// Regions of interest (RoIs) laid on a feature map, once for both devices. A RoI is cut into bins; each axis
// is for itself. A "cell" is a pixel of the feature map; `scale` is its cells per pixel of the network input.
#pragma once

#include <cmath>

#include "core/box.h"
#include "core/device.h"

namespace osprey {

// --- RoIAlign: the mean of bilinear samples. "Mask R-CNN", He et al., ICCV 2017, section 3; the rules at the
// edges are those of torchvision and detectron2.

struct RoiAlign {
  int sampling_ratio = 0;  // sample points per bin and axis; 0: one for each cell that a bin begins
  // Whether the centre of cell 0 is at half a cell, as it should be. Without, the grid of samples lies half a
  // cell too far right and down, and RoIs are at least one cell wide and high: the older convention.
  bool aligned = true;
};

// The cells between which a sample point lies. A point more than a cell beyond the map sees nothing; one
// that is nearer sees the edge.
struct Interpolation {
  int low = 0, high = 0;  // equal at the far edge
  float to_high = 0;      // 0 at the low cell, 1 at the high one
  bool inside = false;

  HOST_DEVICE float weight(int cell) const {
    if (!inside) return 0;
    return (cell == low ? 1 - to_high : 0) + (cell == high ? to_high : 0);
  }
};

HOST_DEVICE inline Interpolation interpolation(float at, int cells) {
  if (!(at >= -1 && at <= float(cells))) return {};  // nor one that is not a number
  if (at <= 0) at = 0;
  const int low = int(at);
  if (low >= cells - 1) return {cells - 1, cells - 1, 0, true};
  return {low, low + 1, at - float(low), true};
}

struct CellRange {
  int first = 0, last = -1;
  HOST_DEVICE bool overlaps(int from, int to) const { return first <= to && from <= last; }
};

// The sample points of a RoI along one axis.
struct AlignAxis {
  float start = 0, bin = 0;  // where the RoI begins, and the length of a bin, both in cells
  int samples = 0;           // per bin

  HOST_DEVICE float point(int b, int sample) const {
    return start + float(b) * bin + (float(sample) + 0.5f) * bin / float(samples);
  }
  // The part of `cell` in the mean over the samples of bin b. Interpolation is a product of both axes, hence
  // a cell's part in a two-dimensional bin is the product of two of these.
  HOST_DEVICE float weight(int b, int cell, int cells) const {
    float sum = 0;
    for (int s = 0; s < samples; ++s) sum += interpolation(point(b, s), cells).weight(cell);
    return samples > 0 ? sum / float(samples) : 0;
  }
  // No cell beyond these gets a part in bins first..last; some within may get none. A sample has parts of two
  // cells, and rounding may move it over one more.
  HOST_DEVICE CellRange reach(int first, int last, int cells) const {
    if (samples == 0) return {};
    const float edge = float(cells - 1);
    const float low = fminf(fmaxf(start + float(first) * bin, 0.0f), edge);
    const float high = fminf(fmaxf(start + float(last + 1) * bin, 0.0f), edge);
    return {low < 1 ? 0 : int(low) - 1, high > edge - 2 ? cells - 1 : int(high) + 2};
  }
};

// A box turned inside out has no samples when aligned, nor has one without size under sampling_ratio 0.
HOST_DEVICE inline AlignAxis align_axis(float from, float to, float scale, int bins, RoiAlign rule) {
  constexpr float kMostSamples = 4096;  // so that a box blown up beyond all images does not stall the step
  const float start = from * scale - (rule.aligned ? 0.5f : 0), size = (to - from) * scale;
  const float length = rule.aligned ? size : fmaxf(size, 1.0f);
  if (!(length >= 0)) return {start, 0, 0};
  const float bin = length / float(bins);
  return {start, bin, rule.sampling_ratio > 0 ? rule.sampling_ratio : int(fminf(ceilf(bin), kMostSamples))};
}

// --- RoIPool: the maximum of each bin's cells. "Fast R-CNN", Girshick, ICCV 2015, section 2.1.

// Bin i of `bins` that share `cells` among them: from floor(i cells / bins) up to ceil((i + 1) cells / bins),
// so that neighbouring bins share a cell where `cells` is no multiple. In whole numbers, since a quotient
// rounded to a float may reach one cell too far.
HOST_DEVICE inline CellRange pooling_bin(int i, int cells, int bins) {
  return {i * cells / bins, ((i + 1) * cells + bins - 1) / bins - 1};
}

struct PoolAxis {
  int start = 0, size = 0;  // cells of the RoI, perhaps beyond the map

  // Those of a bin that are on the map.
  HOST_DEVICE CellRange bin(int i, int bins, int cells) const {
    const CellRange all = pooling_bin(i, size, bins);
    const int first = start + all.first, last = start + all.last;
    return {first > 0 ? first : 0, last < cells ? last : cells - 1};
  }
};

// Corners go to the nearest cell, halves away from 0, and both cells belong to the RoI; a box turned inside
// out has one cell (torchvision). One that is not finite has none.
HOST_DEVICE inline PoolAxis pool_axis(float from, float to, float scale) {
  if (!(from - from == 0 && to - to == 0)) return {};
  constexpr float kFar = 1 << 20;  // beyond all maps, and the products with a number of bins are integers
  const int first = int(fminf(fmaxf(roundf(from * scale), -kFar), kFar));
  const int last = int(fminf(fmaxf(roundf(to * scale), -kFar), kFar));
  return {first, last > first ? last - first + 1 : 1};
}

}  // namespace osprey
