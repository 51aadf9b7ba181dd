// Spatial pyramid pooling: the map is cut into 1x1, 2x2, 4x4, ... bins, each the maximum of its cells, so
// that maps of any size give vectors of one length. "Spatial Pyramid Pooling in Deep Convolutional Networks
// for Visual Recognition", He et al., ECCV 2014. The CPU side is in layers/roi/spp.cpp, the kernels in
// cuda/spp.cu. (The "SPP" block of YOLO is another thing: max pooling of three sizes at stride 1.)
#pragma once

#include "core/roi.h"
#include "core/stream.h"
#include "core/tensor.h"

namespace osprey {

struct SppLevels {
  static constexpr int kMost = 8;
  int bins[kMost] = {1, 2, 4};  // per axis, each at least 1
  int count = 3;

  HOST_DEVICE int total() const {  // bins of all levels together
    int sum = 0;
    for (int level = 0; level < count; ++level) sum += bins[level] * bins[level];
    return sum;
  }
};

namespace cpu {
// x [N,H,W,C]; y and winner [N,1,levels.total(),C], level by level, the bins of each in reading order.
// `winner` receives the cell h*W + w of each maximum, of equal values the first in reading order; empty when
// not training.
void spp_forward(Stream&, View<const float> x, View<float> y, View<int> winner, SppLevels);
// Adds to dx.
void spp_backward(Stream&, View<const float> dy, View<const int> winner, View<float> dx, SppLevels);
}  // namespace cpu

namespace cuda {
void spp_forward(Stream&, Tensor x, Tensor y, View<int> winner, SppLevels);
void spp_backward(Stream&, Tensor dy, View<const int> winner, Tensor dx, SppLevels);
}  // namespace cuda

}  // namespace osprey
