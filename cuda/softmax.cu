#include "cuda/softmax.h"

#include <cfloat>

#include "cuda/block.cuh"
#include "cuda/launch.h"
#include "cuda/pack.cuh"

namespace osprey::cuda {
namespace {

constexpr int kWarps = 8;  // of a block

Grid one_warp_each(int groups) { return {dim3(unsigned((groups + kWarps - 1) / kWarps)), dim3(32 * kWarps)}; }

// The lanes of a warp take the values of its group in turn.
struct GroupOfWarp {
  int first = 0, values = 0, channels = 1, c = 1;  // no values in warps beyond the last group

  __device__ GroupOfWarp(Shape s, const SoftmaxGroups& g) : c(s.c) {
    const int group = global_thread() / 32;
    if (group >= g.count(s)) return;
    channels = g.channels(s, group);
    first = g.first(s, group);
    values = g.pixels * channels;
  }
  __device__ int index(int k) const { return first + k / channels * c + k % channels; }
};

// One warp per group. Powers are worked out twice: y, where they could wait for their sum, may be of bf16.
template <class T>
__global__ void softmax_forward_kernel(View<const T> x, View<T> y, SoftmaxGroups g) {
  const GroupOfWarp group(x.shape, g);
  const int lane = threadIdx.x % 32;
  float largest = -FLT_MAX;
  for (int k = lane; k < group.values; k += 32) largest = max(largest, float(x[group.index(k)]));
  largest = warp_max(largest);
  auto power = [&](int i) { return expf((float(x[i]) - largest) / g.temperature); };
  float sum = 0;
  for (int k = lane; k < group.values; k += 32) sum += power(group.index(k));
  sum = warp_sum(sum);
  for (int k = lane; k < group.values; k += 32) {
    const int i = group.index(k);
    y[i] = T(power(i) / sum);
  }
}

// One warp per group.
template <class T>
__global__ void softmax_backward_kernel(View<const T> y, View<const T> dy, View<T> dx, bool add,
                                        SoftmaxGroups g) {
  const GroupOfWarp group(y.shape, g);
  const int lane = threadIdx.x % 32;
  float mean = 0;  // of dy, weighted by y
  for (int k = lane; k < group.values; k += 32) {
    const int i = group.index(k);
    mean += float(y[i]) * float(dy[i]);
  }
  mean = warp_sum(mean);
  for (int k = lane; k < group.values; k += 32) {
    const int i = group.index(k);
    const float value = float(y[i]) * (float(dy[i]) - mean) / g.temperature;
    dx[i] = T(add ? float(dx[i]) + value : value);
  }
}

// One warp per image. From the last class to the first, since a parent comes before its children: the lanes
// look at classes side by side, and one of them then marks the ancestors of those that are true.
__global__ void tree_targets_kernel(ClassTree tree, View<float> targets) {
  const int image = global_thread() / 32, lane = int(threadIdx.x) % 32, classes = targets.shape.c;
  if (image >= targets.shape.n) return;  // the whole warp
  float* of = &targets[image * classes];
  for (int first = (classes - 1) / 32 * 32; first >= 0; first -= 32) {
    const unsigned found = __ballot_sync(kAllLanes, first + lane < classes && of[first + lane] > 0);
    for (unsigned left = found; left && lane == 0; left &= left - 1)
      for (int c = tree.parents[first + __ffs(int(left)) - 1]; c >= 0; c = tree.parents[c]) of[c] = 1;
    __syncwarp();  // the lanes see what is marked
  }
  for (int group = lane; group < tree.groups.size() - 1; group += 32) {
    bool any = false;
    for (int c = tree.groups[group]; c < tree.groups[group + 1]; ++c) any = any || of[c] > 0;
    for (int c = tree.groups[group]; c < tree.groups[group + 1] && !any; ++c) of[c] = kMaskedTarget;
  }
}

// One block for all, so that the order of additions is fixed: each thread sums every 1024th value.
__global__ void softmax_cross_entropy_kernel(View<const float> y, View<const float> targets,
                                             LossReport* report) {
  double loss = 0;
  for (int i = threadIdx.x; i < y.size(); i += blockDim.x)
    if (targets[i] != 0 && targets[i] != kMaskedTarget) loss -= targets[i] * logf(max(y[i], FLT_MIN));
  loss = block_sum(loss);
  if (threadIdx.x != 0) return;
  report->loss += loss;
  report->class_loss += loss;
}

// One thread per value. `dy` is empty where there is nothing to add.
__global__ void softmax_loss_backward_kernel(View<const float> y, View<const float> targets,
                                             View<const float> dy, View<float> dx) {
  const int i = global_thread();
  if (i >= dx.size()) return;
  dx[i] += (targets[i] == kMaskedTarget ? 0 : y[i] - targets[i]) + (dy ? dy[i] : 0.0f);
}

}  // namespace

void softmax_forward(Stream& s, Tensor x, Tensor y, SoftmaxGroups g) {
  with_type(x.type, [&](auto value) {
    using T = decltype(value);
    launch<softmax_forward_kernel<T>>(s, one_warp_each(g.count(x.shape)), x.view<const T>(), y.view<T>(), g);
  });
}

void softmax_backward(Stream& s, Tensor y, Tensor dy, Tensor dx, SoftmaxGroups g) {
  with_type(y.type, [&](auto value) {
    using T = decltype(value);
    launch<softmax_backward_kernel<T>>(s, one_warp_each(g.count(y.shape)), y.view<const T>(),
                                       dy.view<const T>(), dx.view<T>(), dx.data != dy.data, g);
  });
}

void tree_targets(Stream& s, const ClassTree& tree, View<float> targets) {
  launch<tree_targets_kernel>(s, one_warp_each(targets.shape.n), tree, targets);
}

void softmax_cross_entropy(Stream& s, View<const float> y, View<const float> targets, LossReport* report) {
  launch<softmax_cross_entropy_kernel>(s, Grid{dim3(1), dim3(1024)}, y, targets, report);
}

void softmax_loss_backward(Stream& s, View<const float> y, View<const float> targets, View<const float> dy,
                           View<float> dx) {
  const View<const float> above = dy.data == dx.data ? View<const float>() : dy;
  launch<softmax_loss_backward_kernel>(s, one_thread_each(dx.size()), y, targets, above, dx);
}

}  // namespace osprey::cuda
