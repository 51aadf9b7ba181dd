// What a machine can do at best, measured by kernels that do one thing only: copy, or multiply and add.
#pragma once

#include "core/stream.h"
#include "core/view.h"

namespace osprey::bench {

void copy_probe(Stream&, View<const float> x, View<float> y);  // y = x; of a multiple of four values

// Each value of y becomes the sum of kChains numbers, each the result of `rounds` fused multiply-adds: start
// 1, factor 0.5, addend 1.
constexpr int kChains = 8;
void fma_probe(Stream&, View<float> y, int rounds);

}  // namespace osprey::bench
