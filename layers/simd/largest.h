// The maximum of max pooling, where nobody asks for the winner.
#pragma once

#include <cstdint>

#include "core/bf16.h"

namespace osprey::simd {

// Windows of rows x columns pixels over [H, W, channels], `count` of them, each `step` values behind the one
// before; rows lie `row` values apart, pixels `pixel`, and those of y `made`:
//   y[i * made + c] = the largest of x[i * step + r * row + s * pixel + c] over r and s
// Of NaN, the first pixel's stays and others are passed over.
struct Windows {
  int rows, columns, channels;
  int64_t row, pixel, step, made;
};
void largest_in_windows(const float* x, const Windows&, int count, float* y);
void largest_in_windows(const bf16* x, const Windows&, int count, bf16* y);  // needs has_bf16_products()

}  // namespace osprey::simd
