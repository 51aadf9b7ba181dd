#include "layers/frozen_norm.h"

#include <cmath>

#include "core/parallel.h"
#include "layers/vector_loop.h"

namespace osprey::cpu {

void frozen_factors(const BatchNorm& b, View<float> factors, View<float> shifts) {
  for (int c = 0; c < factors.size(); ++c) {
    factors[c] = b.scale[c] / std::sqrt(b.rolling_variance[c] + b.epsilon);
    shifts[c] = b.bias[c] - factors[c] * b.rolling_mean[c];
  }
}

void frozen_backward(View<const float> y, View<const float> factors, View<float> dy, Activation a) {
  constexpr int kGrain = 16384;  // values worth a thread of their own
  const int channels = y.shape.c;
  parallel_for(y.shape.rows(), 1 + kGrain / channels, [=](int64_t first, int64_t last) {
    with_activation(a, [=](auto act) {
      for (int row = int(first); row < int(last); ++row) {
        const int i = row * channels;
        VECTOR_LOOP
        for (int c = 0; c < channels; ++c) dy[i + c] *= factors[c] * slope(act, y[i + c]);
      }
    });
  });
}

}  // namespace osprey::cpu
