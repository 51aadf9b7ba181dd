// What products that pack their weights tell while they do.
#pragma once

#include <functional>

namespace osprey::simd {

// The weights of the filters [first, last) have been packed, and are not read again. Told by several threads,
// of other filters each. Of the forward pass only.
using FiltersDone = std::function<void(int first, int last)>;

}  // namespace osprey::simd
