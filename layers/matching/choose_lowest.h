// What the matchers that let each truth choose its anchors share on the CPU.
#pragma once

#include "cuda/matching.h"

namespace osprey::cpu {

// Fills the row with the indices of [first, last) whose keys are the smallest, in their order, and -1 beyond
// the last; those of kNoKey are left out.
template <class Key>
void choose_lowest(int first, int last, View<int> row, Key key) {
  const int most = row.size();
  int chosen = 0;
  uint64_t largest = 0;  // of those chosen
  for (int i = first; i < last; ++i) {
    const uint64_t own = key(i);
    if (own == kNoKey || (chosen == most && own > largest)) continue;
    int place = chosen < most ? chosen++ : most - 1;
    for (; place > 0 && key(row[place - 1]) > own; --place) row[place] = row[place - 1];
    row[place] = i;
    largest = key(row[chosen - 1]);
  }
  for (int i = chosen; i < most; ++i) row[i] = -1;
}

}  // namespace osprey::cpu
