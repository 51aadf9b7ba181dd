#include "cuda/centre.h"

#include "cuda/block.cuh"
#include "cuda/launch.h"

namespace osprey::cuda {
namespace {

constexpr unsigned kThreads = 256;

// One block per filter.
__global__ void centre_gradients_kernel(View<float> dweights) {
  const int values = dweights.size() / dweights.shape.n, first = int(blockIdx.x) * values;
  double sum = 0;
  for (int i = threadIdx.x; i < values; i += blockDim.x) sum += double(dweights[first + i]);
  const float mean = float(block_sum(sum) / values);  // all have read before any writes
  for (int i = threadIdx.x; i < values; i += blockDim.x) dweights[first + i] -= mean;
}

}  // namespace

void centre_gradients(Stream& s, View<float> dweights) {
  launch<centre_gradients_kernel>(s, Grid{dim3(unsigned(dweights.shape.n)), dim3(kThreads)}, dweights);
}

}  // namespace osprey::cuda
