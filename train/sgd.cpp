#include "train/sgd.h"

#include <cmath>

#include "core/parallel.h"

namespace osprey {
namespace {

constexpr int64_t kGrain = 1 << 15;

}  // namespace

void sgd_step(Parameters& parameters, const SgdStep& step) {
  for (const ParameterSpan& span : parameters.spans()) {
    if (span.info.role == Role::statistic) continue;
    float* __restrict w = parameters.values() + span.offset;
    float* __restrict g = parameters.gradients() + span.offset;
    float* __restrict v = parameters.momentum() + span.offset;
    const float rate = step.learning_rate * span.rate / float(step.batch);
    const float decay = span.info.role == Role::weights ? step.decay * float(step.batch) : 0.0f;
    parallel_for(span.shape.elements(), kGrain, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) {
        v[i] = step.momentum * v[i] + g[i] + decay * w[i];
        w[i] -= rate * v[i];
        g[i] = 0;
      }
    });
  }
}

const ParameterSpan* first_not_finite_gradient(const Parameters& parameters) {
  for (const ParameterSpan& span : parameters.spans()) {
    if (span.info.role == Role::statistic) continue;
    const View<float> g = parameters.gradient(span);
    float sum = 0;  // of g * 0: anything but 0 means that a NaN or an infinity is in it
    for (int i = 0; i < g.size(); ++i) sum += g.data[i] * 0.0f;
    if (sum != 0 || std::isnan(sum)) return &span;
  }
  return nullptr;
}

}  // namespace osprey
