#include "layers/simd/epilogue.h"

#include "core/arena.h"

namespace osprey::simd {

Finish with_repeated_channels(const Epilogue& epilogue, int channels, int values) {
  Finish e(epilogue);
  if (values <= channels) return e;
  thread_local Arena repeated("a thread's memory for factors and biases");
  repeated.reserve(2 * size_t(values) * sizeof(float));
  float* to = reinterpret_cast<float*>(repeated.data());
  for (const float** of_channels : {&e.factors, &e.bias}) {
    if (!*of_channels) continue;
    for (int i = 0; i < values; ++i) to[i] = (*of_channels)[i % channels];
    *of_channels = to;
    to += values;
  }
  return e;
}

}  // namespace osprey::simd
