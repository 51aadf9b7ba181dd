#include "layers/fold.h"

#include <cmath>
#include <memory>

#include "core/parallel.h"
#include "cuda/fold.h"

namespace osprey {

void cpu::fold_batchnorm(Stream&, View<const float> weights, BatchNorm b, View<float> folded,
                         View<float> biases) {
  const int taps = weights.size() / biases.size();
  parallel_for(biases.size(), (1 << 14) / taps + 1, [&](int64_t first, int64_t last) {
    for (int f = int(first); f < int(last); ++f) {
      double factor = 1, bias = b.bias[f];
      if (b.scale) {
        factor = b.scale[f] / std::sqrt(double(b.rolling_variance[f]) + b.epsilon);
        bias -= factor * b.rolling_mean[f];
      }
      biases[f] = float(bias);
      for (int t = f * taps; t < (f + 1) * taps; ++t) folded[t] = float(weights[t] * factor);
    }
  });
}

void fold_and_pack(Stream& s, View<float> weights, const BatchNorm& norm, WhenPacked sources,
                   CpuConvolution& product, View<float> packed, View<float> biases) {
  // This happens once, outside of a step, so it may use memory of its own.
  std::unique_ptr<float[]> own;
  View<float> folded = weights;
  if (sources == WhenPacked::kept) {
    own = std::make_unique_for_overwrite<float[]>(size_t(weights.size()));
    folded.data = own.get();
  }
  cpu::fold_batchnorm(s, weights, norm, folded, biases);
  if (sources == WhenPacked::given_back)
    product.pack_and_give_back(folded, packed);
  else
    product.pack(folded, packed);
}

}  // namespace osprey
