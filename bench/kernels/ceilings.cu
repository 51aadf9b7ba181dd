#include "bench/kernels/ceilings.h"

#include "cuda/launch.h"
#include "cuda/pack.cuh"

namespace osprey::bench {
namespace {

// One thread per 16 bytes.
__global__ void copy_kernel(View<const float> x, View<float> y) {
  const int i = cuda::global_thread() * 4;
  if (i < y.size()) cuda::store(y, i, cuda::load<4>(x, i));
}

// One thread per value. Its chains do not wait for each other. The numbers come as arguments, so that the
// compiler cannot work out the result.
__global__ void fma_kernel(View<float> y, int rounds, float factor, float addend) {
  const int i = cuda::global_thread();
  if (i >= y.size()) return;
  float chains[kChains];
  for (float& chain : chains) chain = 1;
  for (int round = 0; round < rounds; ++round)
    for (float& chain : chains) chain = chain * factor + addend;
  float sum = 0;
  for (const float chain : chains) sum += chain;
  y[i] = sum;
}

}  // namespace

void copy_probe(Stream& s, View<const float> x, View<float> y) {
  cuda::launch<copy_kernel>(s, cuda::one_thread_each(y.size() / 4), x, y);
}

void fma_probe(Stream& s, View<float> y, int rounds) {
  cuda::launch<fma_kernel>(s, cuda::one_thread_each(y.size()), y, rounds, 0.5f, 1.0f);
}

}  // namespace osprey::bench
