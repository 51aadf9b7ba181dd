#include "cuda/reorg.h"

#include "cuda/launch.h"
#include "cuda/pack.cuh"

namespace osprey::cuda {
namespace {

// One thread per value of the output. Neighbours in the output are seldom neighbours in the input, so nothing
// moves in packs.
template <class T>
__global__ void reorg_forward_kernel(View<const T> x, View<T> y, Reorg reorg) {
  const int i = global_thread();
  if (i >= y.size()) return;
  const int from = reorg.source(x.shape, y.shape, i);
  y[i] = from < 0 ? T(0.0f) : x[from];
}

// One thread per value of the output's gradient. Each has a place of its own to go to, so that no two threads
// meet.
template <class T>
__global__ void reorg_backward_kernel(View<const T> dy, View<T> dx, Reorg reorg) {
  const int i = global_thread();
  if (i >= dy.size()) return;
  const int to = reorg.source(dx.shape, dy.shape, i);
  if (to < 0) return;
  T& gradient = dx[to];
  gradient = T(float(gradient) + float(dy[i]));
}

}  // namespace

void reorg_forward(Stream& s, Tensor x, Tensor y, Reorg reorg) {
  with_type(x.type, [&](auto value) {
    using T = decltype(value);
    launch<reorg_forward_kernel<T>>(s, one_thread_each(y.size()), x.view<const T>(), y.view<T>(), reorg);
  });
}

void reorg_backward(Stream& s, Tensor dy, Tensor dx, Reorg reorg) {
  with_type(dx.type, [&](auto value) {
    using T = decltype(value);
    launch<reorg_backward_kernel<T>>(s, one_thread_each(dy.size()), dy.view<const T>(), dx.view<T>(), reorg);
  });
}

}  // namespace osprey::cuda
