#include "layers/fold.h"

#include <cmath>

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

namespace {

template <class T>
View<T> part_of(View<T> all, int first, int last) {
  return all ? View<T>{all.data + first, {1, 1, 1, last - first}} : View<T>();
}

// Of the channels [first, last).
BatchNorm part_of(const BatchNorm& b, int first, int last) {
  BatchNorm part = b;
  for (auto member :
       {&BatchNorm::bias, &BatchNorm::scale, &BatchNorm::rolling_mean, &BatchNorm::rolling_variance})
    part.*member = part_of(b.*member, first, last);
  return part;
}

}  // namespace

void fold_and_pack(Stream& s, View<const float> weights, const ReadFilters& read, const BatchNorm& norm,
                   CpuConvolution& product, View<float> packed, View<float> biases) {
  const int of_filter = weights.size() / biases.size();
  const ReadFilters folded = [&](int first, int last, float* to) {
    const Shape shape{last - first, 1, 1, of_filter};
    View<const float> from{weights.data + int64_t(first) * of_filter, shape};
    if (read) {
      read(first, last, to);
      from.data = to;
    }
    cpu::fold_batchnorm(s, from, part_of(norm, first, last), {to, shape}, part_of(biases, first, last));
  };
  product.pack({folded, of_filter}, packed);
}

}  // namespace osprey
