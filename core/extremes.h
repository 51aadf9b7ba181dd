// The smaller and the larger of two numbers, as one instruction. fminf() and fmaxf() have to leave out NaN,
// which on a CPU makes them calls; these give their second argument where either is NaN.
#pragma once

#include "core/device.h"

namespace osprey {

HOST_DEVICE inline float smaller(float a, float b) { return a < b ? a : b; }
HOST_DEVICE inline float larger(float a, float b) { return a > b ? a : b; }

}  // namespace osprey
