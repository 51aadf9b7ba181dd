#include "cuda/cost.h"

#include "cuda/block.cuh"
#include "cuda/launch.h"

namespace osprey::cuda {
namespace {

// One block for all, so that the order of additions is fixed: each thread sums every 1024th value.
__global__ void cost_forward_kernel(View<const float> x, View<const float> targets, CostType type,
                                    LossReport* report) {
  double loss = 0;
  for (int i = threadIdx.x; i < x.size(); i += blockDim.x) loss += cost_of(type, x[i], targets[i]).loss;
  loss = block_sum(loss);
  if (threadIdx.x == 0) report->loss += loss;
}

// One thread per value. `dy` is empty where there is nothing to add.
__global__ void cost_backward_kernel(View<const float> x, View<const float> targets, View<const float> dy,
                                     View<float> dx, CostType type, float scale) {
  const int i = global_thread();
  if (i >= dx.size()) return;
  dx[i] += (dy ? dy[i] : 0.0f) - scale * cost_of(type, x[i], targets[i]).step;
}

}  // namespace

void cost_forward(Stream& s, View<const float> x, View<const float> targets, CostType type,
                  LossReport* report) {
  launch<cost_forward_kernel>(s, Grid{dim3(1), dim3(1024)}, x, targets, type, report);
}

void cost_backward(Stream& s, View<const float> x, View<const float> targets, View<const float> dy,
                   View<float> dx, CostType type, float scale) {
  const View<const float> above = dy.data == dx.data ? View<const float>() : dy;
  launch<cost_backward_kernel>(s, one_thread_each(dx.size()), x, targets, above, dx, type, scale);
}

}  // namespace osprey::cuda
