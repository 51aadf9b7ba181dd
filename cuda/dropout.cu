#include "cuda/dropout.h"

#include "cuda/launch.h"
#include "cuda/pack.cuh"

namespace osprey::cuda {
namespace {

// The factors of the N values from i on, where values i to i + N - 1 may begin within a block of random bits.
template <int N>
__device__ Floats<N> factors(const Dropout& dropout, const Step& step, int i) {
  constexpr int kBlock = Dropout::kBlock;
  Floats<N> result;
  for (int k = 0; k < N; k += kBlock) {
    Random random = dropout.random(step, (i + k) / kBlock);
    for (int before = 0; before < (i + k) % kBlock; ++before) random.bits();
    for (int j = k; j < k + kBlock && j < N; ++j) result[j] = dropout.factor(random);
  }
  return result;
}

// One thread per pack; its length is 1 or a multiple of a block of random bits.
template <class T, int N>
__global__ void dropout_forward_kernel(View<const T> x, View<T> y, bool add, const Step* step,
                                       Dropout dropout) {
  const int i = global_thread() * N;
  if (i >= y.size()) return;
  Floats<N> values = load<N>(x, i);
  const Floats<N> factor = factors<N>(dropout, *step, i);
  for (int k = 0; k < N; ++k) values[k] *= factor[k];
  store(y, i, values, add);
}

void drop(Stream& s, Tensor x, Tensor y, bool add, const Step* step, Dropout dropout) {
  with_packs({y.size()}, {x, y}, [&](auto value, auto length) {
    using T = decltype(value);
    constexpr int N = decltype(length)::value;
    static_assert(N == 1 || N % Dropout::kBlock == 0, "a pack begins with a block of random bits");
    launch<dropout_forward_kernel<T, N>>(s, one_thread_each(y.size() / N), x.view<const T>(), y.view<T>(),
                                         add, step, dropout);
  });
}

}  // namespace

void dropout_forward(Stream& s, Tensor x, Tensor y, const Step* step, Dropout dropout) {
  drop(s, x, y, false, step, dropout);
}

void dropout_backward(Stream& s, Tensor dy, Tensor dx, const Step* step, Dropout dropout) {
  drop(s, dy, dx, dx.data != dy.data, step, dropout);
}

}  // namespace osprey::cuda
