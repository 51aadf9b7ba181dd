// The maps of a feature pyramid's levels, read as one list of rows: a head that shares its losses and its
// matching over all levels sees [N,1,R,K], level after level, each row by row and cell by cell with the A
// anchors of a cell side by side. The CPU side is in layers/heads/levels.cpp, the kernels in cuda/levels.cu.
#pragma once

#include "core/stream.h"
#include "core/tensor.h"

namespace osprey {

constexpr int kMostLevels = 8;

struct LevelMaps {
  View<float> maps[kMostLevels];  // [N,H,W,A*K], finest first; R is the sum of all H*W*A
  int count = 0;
};

// Where the anchors of all levels lie in one list, as in the rows above: which of them are of which level.
struct AnchorLevels {
  int first[kMostLevels + 1] = {};  // level l has anchors first[l] up to first[l + 1]
  int count = 0;

  void add(int anchors) {
    first[count + 1] = first[count] + anchors;
    ++count;
  }
  HOST_DEVICE int level_of(int anchor) const {
    int level = 0;
    while (level + 1 < count && anchor >= first[level + 1]) ++level;
    return level;
  }
};

namespace cpu {
void gather_levels(Stream&, LevelMaps levels, View<float> rows);
// Adds the gradients of the rows to those of the maps; where overwrite[level], replaces them. Maps without
// data are left out.
void scatter_levels(Stream&, View<const float> rows, LevelMaps levels, const bool* overwrite);
}  // namespace cpu

namespace cuda {
void gather_levels(Stream&, LevelMaps levels, View<float> rows);
void scatter_levels(Stream&, View<const float> rows, LevelMaps levels, const bool* overwrite);
}  // namespace cuda

}  // namespace osprey
