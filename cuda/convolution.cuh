// What the kernels of convolution share, whichever way they sum.
#pragma once

#include "cuda/convolution.h"
#include "cuda/launch.h"

namespace osprey::cuda {

// An Epilogue as a kernel applies it, to a y of type T.
template <class T>
struct Finish {
  View<const float> bias;
  Activation activation;
  View<const T> residual;
  Activation residual_activation;

  Finish(const Epilogue& e)
      : bias(e.bias),
        activation(e.activation),
        residual(e.residual),
        residual_activation(e.residual_activation) {}

  __device__ float operator()(float sum, float residual_value, int filter) const {
    if (bias) sum += bias[filter];
    sum = activate(activation, sum);
    return residual ? activate(residual_activation, sum + residual_value) : sum;
  }
};

}  // namespace osprey::cuda
