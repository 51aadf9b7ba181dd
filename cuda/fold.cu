#include "cuda/fold.h"

#include "cuda/launch.h"

namespace osprey::cuda {
namespace {

// One block per filter, whose threads share its weights among them.
template <class T>
__global__ void fold_batchnorm_kernel(View<const float> weights, BatchNorm b, View<T> folded,
                                      View<float> biases) {
  const int f = int(blockIdx.x), taps = weights.size() / biases.size();
  double factor = 1, bias = b.bias[f];
  if (b.scale) {
    factor = b.scale[f] / sqrt(double(b.rolling_variance[f]) + b.epsilon);
    bias -= factor * b.rolling_mean[f];
  }
  if (threadIdx.x == 0) biases[f] = float(bias);
  for (int t = int(threadIdx.x); t < taps; t += int(blockDim.x))
    folded[f * taps + t] = T(float(weights[f * taps + t] * factor));
}

}  // namespace

void fold_batchnorm(Stream& s, View<const float> weights, BatchNorm b, Tensor folded, View<float> biases) {
  const Grid grid = {dim3(unsigned(biases.size())), dim3(128)};
  with_type(folded.type, [&](auto t) {
    using T = decltype(t);
    launch<fold_batchnorm_kernel<T>>(s, grid, weights, b, folded.view<T>(), biases);
  });
}

}  // namespace osprey::cuda
