// The maximum of max pooling, where nobody asks for the winner.
#pragma once

#include <cstdint>

namespace osprey::simd {

// Windows of rows x columns pixels over [H, W, channels], `count` of them, each `step` floats behind the one
// before; rows lie `row` floats apart:
//   y[i * channels + c] = the largest of x[i * step + r * row + s * channels + c] over r and s
// Of NaN, the first pixel's stays and others are passed over.
struct Windows {
  int rows, columns, channels;
  int64_t row, step;
};
void largest_in_windows(const float* x, const Windows&, int count, float* y);

}  // namespace osprey::simd
