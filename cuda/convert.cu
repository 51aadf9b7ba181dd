#include "cuda/convert.h"

#include "cuda/launch.h"

namespace osprey::cuda {
namespace {

// One thread per value.
template <class From, class To>
__global__ void convert_kernel(View<const From> from, View<To> to) {
  const int i = global_thread();
  if (i >= to.size()) return;
  to[i] = To(float(from[i]));
}

}  // namespace

void convert(Stream& s, Tensor from, Tensor to) {
  with_type(from.type, [&](auto f) {
    with_type(to.type, [&](auto t) {
      using From = decltype(f);
      using To = decltype(t);
      launch<convert_kernel<From, To>>(s, one_thread_each(to.size()), View<const From>(from.view<From>()),
                                       to.view<To>());
    });
  });
}

}  // namespace osprey::cuda
