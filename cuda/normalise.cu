#include "cuda/normalise.h"

#include "cuda/launch.h"

namespace osprey::cuda {
namespace {

// One thread per value.
template <class T>
__global__ void normalise_kernel(View<const float> images, Normalisation rule, View<T> to) {
  const int i = global_thread();
  if (i >= to.size()) return;
  to[i] = T(rule(images[i], i % to.shape.c));
}

}  // namespace

void normalise(Stream& s, View<const float> images, Normalisation rule, Tensor to) {
  with_type(to.type, [&](auto t) {
    using T = decltype(t);
    launch<normalise_kernel<T>>(s, one_thread_each(to.size()), images, rule, to.view<T>());
  });
}

}  // namespace osprey::cuda
