// The upper half of a float: its sign and exponent, and 7 bits of its fraction. What activations and the
// weights' copy are kept in under precision=bf16; arithmetic is done in float.
#pragma once

#include <cstdint>
#include <cstring>

#include "core/device.h"

namespace osprey {

struct bf16 {
  uint16_t bits = 0;

  bf16() = default;
  // Rounds to nearest, ties to even; NaN stays NaN.
  HOST_DEVICE bf16(float value) {
    uint32_t word;
    memcpy(&word, &value, sizeof word);
    const bool nan = (word & 0x7FFFFFFFu) > 0x7F800000u;
    bits = nan ? uint16_t(word >> 16 | 0x40u) : uint16_t((word + 0x7FFFu + (word >> 16 & 1u)) >> 16);
  }
  HOST_DEVICE operator float() const {
    const uint32_t word = uint32_t(bits) << 16;
    float value;
    memcpy(&value, &word, sizeof value);
    return value;
  }
};

}  // namespace osprey
