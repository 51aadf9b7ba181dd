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
