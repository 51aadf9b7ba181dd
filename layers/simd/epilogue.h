// What becomes of the sums of a convolution while they are in a register.
#pragma once

#include <limits>

#include "core/activations.h"
#include "core/tensor.h"

namespace osprey::simd {

// y = residual_activation(activation(factors * sum + bias) + residual)
struct Epilogue {
  const float* factors = nullptr;  // of each filter; null: 1
  const float* bias = nullptr;     // of each filter; null: 0
  const void* residual = nullptr;  // of the shape and type of y, and may be y itself; null: 0
  Activation activation = Activation::linear;
  Activation residual_activation = Activation::linear;
  Type type = Type::f32;  // of y; bf16 only where has_bf16_products()
};

// Activations that are min(high, max(low, max(x, slope * x))) cost four instructions a vector.
struct Bounds {
  float slope = 1;
  float low = -std::numeric_limits<float>::infinity();
  float high = std::numeric_limits<float>::infinity();

  bool steep() const { return slope != 1; }
  bool clamp() const { return low > -std::numeric_limits<float>::infinity(); }
};

inline bool bounds_of(Activation a, Bounds& b) {
  b = {};
  switch (a) {
    case Activation::linear:
      return true;
    case Activation::leaky:
    case Activation::revleaky:
      b.slope = 0.1f;
      return true;
    case Activation::relie:
      b.slope = 0.01f;
      return true;
    case Activation::relu:
      b.low = 0;
      return true;
    case Activation::relu6:
      b.low = 0, b.high = 6;
      return true;
    case Activation::hardtan:
      b.low = -1, b.high = 1;
      return true;
    default:
      return false;
  }
}

// An epilogue, with what is found out about it once.
struct Finish : Epilogue {
  Bounds own, of_sum;
  bool both_bounded;

  explicit Finish(const Epilogue& e) : Epilogue(e) {
    both_bounded = bounds_of(activation, own) && bounds_of(residual_activation, of_sum);
  }
};

// With factors and biases of `values` values in a row, those of the channels again and again: where a vector
// holds several pixels. They stay until the thread asks for the next.
Finish with_repeated_channels(const Epilogue&, int channels, int values);

// That of the filters from `filter` on, for an `out` that starts there too; those of a group begin at
// `group`, which the places in `out` already count.
inline Finish from_filter(Finish e, int filter, int group = 0) {
  if (e.factors) e.factors += group + filter;
  if (e.bias) e.bias += group + filter;
  if (e.residual) e.residual = nth(e.residual, filter, e.type);
  return e;
}

}  // namespace osprey::simd
