#include "cuda/sam.h"

#include "cuda/launch.h"
#include "cuda/pack.cuh"

namespace osprey::cuda {
namespace {

// One thread per pack.
template <class T, int N>
__global__ void sam_forward_kernel(View<const T> a, View<const T> b, View<T> y, bool add) {
  const int i = global_thread() * N;
  if (i >= y.size()) return;
  Floats<N> product = load<N>(a, i);
  const Floats<N> values = load<N>(b, i);
  for (int k = 0; k < N; ++k) product[k] *= values[k];
  store(y, i, product, add);
}

void multiply(Stream& s, Tensor a, Tensor b, Tensor y, bool add) {
  with_packs({y.size()}, {a, b, y}, [&](auto value, auto length) {
    using T = decltype(value);
    constexpr int N = decltype(length)::value;
    launch<sam_forward_kernel<T, N>>(s, one_thread_each(y.size() / N), a.view<const T>(), b.view<const T>(),
                                     y.view<T>(), add);
  });
}

}  // namespace

void sam_forward(Stream& s, Tensor a, Tensor b, Tensor y) { multiply(s, a, b, y, false); }
void sam_backward(Stream& s, Tensor other, Tensor dy, Tensor dx) { multiply(s, other, dy, dx, true); }

}  // namespace osprey::cuda
