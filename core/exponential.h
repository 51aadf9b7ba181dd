// e^x as arithmetic that a compiler can vectorise: libm's expf is a call, which keeps a loop scalar.
//
//   e^x = 2^k e^r,  k = round(x / ln 2),  |r| <= ln 2 / 2,  e^r by its Taylor polynomial of degree 7
//
// ln 2 is split in two so that r keeps its last bits (Cody and Waite). Largest error: 2 units in the last
// place (tests/core/exponential_test.cpp). Results are clamped to the normal floats: below -87.3 it
// is 1.2e-38, not 0, above 88 it is 1.7e38, not infinity; NaN stays NaN.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "core/device.h"

namespace osprey {

HOST_DEVICE ALWAYS_INLINE float exponential(float x) {
  const float inside = x > 88.0f ? 88.0f : x < -87.3f ? -87.3f : x;
#ifdef __CUDA_ARCH__
  return expf(inside);
#else
  constexpr float kRound =
      12582912.0f;  // 1.5 * 2^23: adding it leaves the nearest whole number in the low bits
  const float shifted = inside * 1.44269504f + kRound;
  const float k = shifted - kRound;
  const float r = (inside - k * 0.693359375f) + k * 2.12194440e-4f;
  float p = 1.98412698e-4f;
  p = p * r + 1.38888889e-3f;
  p = p * r + 8.33333333e-3f;
  p = p * r + 4.16666667e-2f;
  p = p * r + 1.66666667e-1f;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  uint32_t bits;
  std::memcpy(&bits, &shifted, 4);
  bits = (bits - 0x4B400000u + 127u) << 23;  // 2^k
  float power;
  std::memcpy(&power, &bits, 4);
  return p * power;
#endif
}

}  // namespace osprey
