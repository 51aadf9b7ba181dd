#include "cuda/logistic.h"

#include "cuda/block.cuh"
#include "cuda/launch.h"

namespace osprey::cuda {
namespace {

// One block for all, so that the order of additions is fixed: each thread sums every 1024th value.
__global__ void logistic_cross_entropy_kernel(View<const float> x, View<const float> targets,
                                              LossReport* report) {
  double loss = 0;
  for (int i = threadIdx.x; i < x.size(); i += blockDim.x)
    loss += osprey::logistic_cross_entropy(x[i], targets[i]);
  loss = block_sum(loss);
  if (threadIdx.x != 0) return;
  report->loss += loss;
  report->class_loss += loss;
}

// One thread per value. `dy` is empty where there is nothing to add.
__global__ void logistic_backward_kernel(View<const float> y, View<const float> targets, View<const float> dy,
                                         View<float> dx) {
  const int i = global_thread();
  if (i >= dx.size()) return;
  dx[i] += y[i] - targets[i] + (dy ? dy[i] * y[i] * (1 - y[i]) : 0.0f);
}

}  // namespace

void logistic_cross_entropy(Stream& s, View<const float> x, View<const float> targets, LossReport* report) {
  launch<logistic_cross_entropy_kernel>(s, Grid{dim3(1), dim3(1024)}, x, targets, report);
}

void logistic_backward(Stream& s, View<const float> y, View<const float> targets, View<const float> dy,
                       View<float> dx) {
  launch<logistic_backward_kernel>(s, one_thread_each(dx.size()), y, targets, dy, dx);
}

}  // namespace osprey::cuda
