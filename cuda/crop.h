// The contract of [crop]. The CPU side is in layers/crop.cpp, the kernels in cuda/crop.cu.
#pragma once

#include "core/random.h"
#include "core/step.h"
#include "core/stream.h"
#include "core/tensor.h"

namespace osprey {

// y = scale * x + offset, of the part of x that has y's size.
struct ImageCrop {
  float scale = 2, offset = -1;  // 0 .. 1 becomes -1 .. 1
  bool flip = false;             // in training, every second time
  uint64_t layer = 0;            // tells the layers of a network apart

  struct Place {
    int h, w;  // of the part in x
    bool mirrored;

    HOST_DEVICE int column(int ow, int width) const { return w + (mirrored ? width - 1 - ow : ow); }
  };

  // The middle where `step` is null; in training one place for all images, drawn anew for each mini-batch.
  HOST_DEVICE Place place(Shape x, Shape y, const Step* step) const {
    const int rows = x.h - y.h, columns = x.w - y.w;
    if (!step) return {rows / 2, columns / 2, false};
    Random random(step->seed, Purpose::crop, uint64_t(step->pass), layer);
    const int h = random.below(rows + 1), w = random.below(columns + 1);
    return {h, w, flip && random.chance(0.5f)};
  }
};

namespace cpu {
void crop_forward(Stream&, View<const float> x, View<float> y, const Step*, ImageCrop);
void crop_backward(Stream&, View<const float> dy, View<float> dx, const Step*, ImageCrop);  // adds to dx
}  // namespace cpu

namespace cuda {
void crop_forward(Stream&, Tensor x, Tensor y, const Step*, ImageCrop);
void crop_backward(Stream&, Tensor dy, Tensor dx, const Step*, ImageCrop);
}  // namespace cuda

}  // namespace osprey
