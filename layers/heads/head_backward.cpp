// What all heads do in backward: their loss has already said, in forward, what their input should learn.
#include "core/parallel.h"
#include "cuda/head.h"

namespace osprey::cpu {

void head_backward(Stream&, View<const float> delta, View<float> dx, bool overwrite) {
  parallel_for(dx.size(), 1 << 14, [&](int64_t first, int64_t last) {
    if (overwrite)
      for (int64_t i = first; i < last; ++i) dx.data[i] = -delta.data[i];
    else
      for (int64_t i = first; i < last; ++i) dx.data[i] -= delta.data[i];
  });
}

}  // namespace osprey::cpu
