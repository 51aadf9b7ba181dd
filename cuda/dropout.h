// The contract of [dropout]. The CPU side is in layers/dropout.cpp, the kernels in cuda/dropout.cu.
#pragma once

#include "core/random.h"
#include "core/step.h"
#include "core/stream.h"
#include "core/tensor.h"

namespace osprey {

struct Dropout {
  float probability;
  uint64_t layer;  // tells the layers of a network apart

  static constexpr int kBlock = 4;  // values that share a block of random bits, and draw from it in order

  HOST_DEVICE Random random(const Step& step, int64_t block) const {
    return Random(step.seed, Purpose::dropout, uint64_t(step.pass), layer << 32 | uint64_t(block));
  }
  HOST_DEVICE float factor(Random& random) const {
    return random.chance(probability) ? 0.0f : 1 / (1 - probability);
  }
};

namespace cpu {
void dropout_forward(Stream&, View<const float> x, View<float> y, const Step*, Dropout);  // y may be x
// Adds to dx, or overwrites it if it is dy itself.
void dropout_backward(Stream&, View<const float> dy, View<float> dx, const Step*, Dropout);
}  // namespace cpu

namespace cuda {
void dropout_forward(Stream&, Tensor x, Tensor y, const Step*, Dropout);
void dropout_backward(Stream&, Tensor dy, Tensor dx, const Step*, Dropout);
}  // namespace cuda

}  // namespace osprey
