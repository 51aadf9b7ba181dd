// The contract of [cost]. The CPU side is in layers/cost.cpp, the kernels in cuda/cost.cu. Losses are of
// floats.
#pragma once

#include <cmath>

#include "core/step.h"
#include "core/stream.h"
#include "core/view.h"

namespace osprey {

enum class CostType { sse, masked, smooth, l1 };

struct ValueCost {
  float loss, step;  // what one value costs, and which way and how far it should go
};

HOST_DEVICE inline ValueCost cost_of(CostType type, float x, float target) {
  const float d = target - x, size = fabsf(d), sign = d > 0 ? 1.0f : -1.0f;
  switch (type) {
    case CostType::sse:
      return {d * d, d};
    case CostType::masked:
      return target == kMaskedTarget ? ValueCost{0, 0} : ValueCost{d * d, d};
    case CostType::smooth:
      return size < 1 ? ValueCost{d * d, d} : ValueCost{2 * size - 1, sign};
    case CostType::l1:
      return {size, sign};
  }
  return {0, 0};
}

namespace cpu {
// Adds the loss to the report.
void cost_forward(Stream&, View<const float> x, View<const float> targets, CostType, LossReport*);
// dx += -scale step + dy, where dy may be empty, or dx itself.
void cost_backward(Stream&, View<const float> x, View<const float> targets, View<const float> dy,
                   View<float> dx, CostType, float scale);
}  // namespace cpu

namespace cuda {
void cost_forward(Stream&, View<const float> x, View<const float> targets, CostType, LossReport*);
void cost_backward(Stream&, View<const float> x, View<const float> targets, View<const float> dy,
                   View<float> dx, CostType, float scale);
}  // namespace cuda

}  // namespace osprey
