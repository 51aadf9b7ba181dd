#include "layers/heads/head_backward.h"

#include "core/parallel.h"

namespace osprey::cpu {

void head_backward(Stream&, View<const float> delta, View<float> dx, Write write) {
  parallel_for(dx.size(), 1 << 14, [&](int64_t first, int64_t last) {
    if (write == Write::add)
      for (int64_t i = first; i < last; ++i) dx.data[i] -= delta.data[i];
    else
      for (int64_t i = first; i < last; ++i) dx.data[i] = -delta.data[i];
  });
}

}  // namespace osprey::cpu
