// Into how many chunks the rows of a [rows, c] matrix are cut where each channel is reduced over all of them:
// so many that a few channels of many rows keep a GPU busy, each long enough to be worth a block. It depends
// on the size alone, and with it the order of additions and the bits of the result.
#pragma once

#include <algorithm>

namespace osprey {

inline int row_chunks(int rows, int c) {
  constexpr int kValues = 32768, kTile = 128, kMost = 1024;  // values and channels that a block takes
  return std::clamp(rows / (kValues / std::min(c, kTile)), 1, kMost);
}

}  // namespace osprey
