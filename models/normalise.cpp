// The CPU side of cuda/normalise.h.
#include "cuda/normalise.h"

#include "core/parallel.h"

namespace osprey::cpu {

void normalise(Stream&, View<const float> images, Normalisation rule, Tensor to) {
  const View<float> y = to.view<float>();
  const int channels = y.shape.c;
  parallel_for(y.shape.rows(), 4096, [&](int64_t first, int64_t last) {
    for (int pixel = int(first); pixel < int(last); ++pixel)
      for (int c = 0; c < channels; ++c) y[pixel * channels + c] = rule(images[pixel * channels + c], c);
  });
}

}  // namespace osprey::cpu
