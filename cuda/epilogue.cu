#include "cuda/epilogue.h"

#include "cuda/launch.h"

namespace osprey::cuda {
namespace {

// One thread per value: it reads its own places before it writes one, so y may lie where the others do.
template <class Sum, class Value>
__global__ void epilogue_kernel(View<const Sum> sums, View<const float> bias, Activation activation,
                                View<const Value> residual, Activation residual_activation, View<Value> y) {
  const int i = global_thread();
  if (i >= y.size()) return;
  float value = float(sums[i]);
  if (bias) value += bias[i % bias.shape.c];
  value = activate(activation, value);
  if (residual) value = activate(residual_activation, value + float(residual[i]));
  y[i] = Value(value);
}

}  // namespace

void epilogue(Stream& s, Tensor sums, View<const float> bias, Activation activation, Tensor residual,
              Activation residual_activation, Tensor y) {
  with_type(sums.type, [&](auto sum) {
    with_type(y.type, [&](auto value) {
      using Sum = decltype(sum);
      using Value = decltype(value);
      const View<const Value> added = residual ? residual.view<const Value>() : View<const Value>();
      launch<epilogue_kernel<Sum, Value>>(s, one_thread_each(y.size()), sums.view<const Sum>(), bias,
                                          activation, added, residual_activation, y.view<Value>());
    });
  });
}

}  // namespace osprey::cuda
