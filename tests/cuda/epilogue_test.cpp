#include "cuda/epilogue.h"

#include "tests/cuda/kernel_test.h"

namespace osprey::test {
namespace {

template <class T>
std::vector<T> as(const Values& values) {
  return std::vector<T>(values.begin(), values.end());
}

struct Case {
  Activation activation;
  bool bias, residual;
  Activation residual_activation;
};
const Case kCases[] = {
    {Activation::linear, false, false, Activation::relu},  // without a residual, its activation is none
    {Activation::linear, true, false, Activation::linear},
    {Activation::mish, true, false, Activation::linear},
    {Activation::leaky, true, true, Activation::linear},
    {Activation::linear, false, true, Activation::relu},
    {Activation::swish, true, true, Activation::leaky},
};

float wanted(const Case& t, float sum, float bias, float residual) {
  float value = activate(t.activation, t.bias ? sum + bias : sum);
  if (t.residual) value = activate(t.residual_activation, value + residual);
  return value;
}

// The same formula in the same order: in f32 the last bits may differ by a fused multiplication inside of an
// activation, in bf16 by one rounding to 8 bits.
template <class Value>
float tolerance(float value) {
  return (sizeof(Value) == 2 ? 0x1p-8f : 0x1p-22f) * std::fabs(value) + 1e-30f;
}

template <class Sum, class Value>
void expect_epilogue(Shape shape) {
  Stream s;
  const auto sums = as<Sum>(coarse_values(shape.size(), 1));
  const auto residual = as<Value>(coarse_values(shape.size(), 2));
  Values bias = coarse_values(shape.c, 3);
  for (const Case& t : kCases) {
    in_all_orders([&] {
      std::vector<Sum> from = sums;
      std::vector<Value> added = residual, y(shape.size(), Value(NAN));
      cuda::epilogue(s, view(from, shape), t.bias ? View<const float>(channels(bias)) : View<const float>(),
                     t.activation, t.residual ? Tensor(view(added, shape)) : Tensor(), t.residual_activation,
                     view(y, shape));
      for (int i = 0; i < shape.size(); ++i) {
        const float want = wanted(t, sums[i], bias[i % shape.c], residual[i]);
        ASSERT_NEAR(float(y[i]), want, tolerance<Value>(want)) << shape.text() << " at " << i;
      }
    });
  }
}

TEST(EpilogueKernel, AgreesWithTheFormulaInAllTypes) {
  for (Shape shape : {Shape{1, 1, 1, 1}, Shape{2, 3, 5, 7}, Shape{1, 3, 1, 255}}) {
    expect_epilogue<float, float>(shape);
    expect_epilogue<float, bf16>(shape);
    expect_epilogue<bf16, float>(shape);
    expect_epilogue<bf16, bf16>(shape);
  }
}

TEST(EpilogueKernel, AddsInPlace) {
  Stream s;
  const Shape shape = {1, 1, 3, 5};
  const auto sums = as<bf16>(coarse_values(shape.size(), 1));
  const Values before = coarse_values(shape.size(), 2);
  in_all_orders([&] {
    auto from = sums;
    Values y = before;
    cuda::epilogue(s, view(from, shape), {}, Activation::linear, view(y, shape), Activation::linear,
                   view(y, shape));
    for (int i = 0; i < shape.size(); ++i) ASSERT_EQ(y[i], before[i] + float(sums[i])) << "at " << i;
  });
}

}  // namespace
}  // namespace osprey::test
