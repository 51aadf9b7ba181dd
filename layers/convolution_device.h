// Convolution by kernels, for [convolutional] and [connected]: NVIDIA's libraries where they take the
// problem, otherwise ours.
#pragma once

#include <memory>

#include "cuda/fast_convolution.h"
#include "layers/layer.h"

namespace osprey {

class DeviceConvolution {
 public:
  using MakeFast = std::unique_ptr<cuda::FastConvolution>(const cuda::ConvolutionProblem&);

  // Of the problem, shapes, types and the epilogue are given; what else it holds is the plan's. Asks the plan
  // for scratch, so it has to stay where it is.
  DeviceConvolution(Plan&, cuda::ConvolutionProblem, MakeFast* = cuda::make_fast_convolution);

  // y = residual_activation(activation(x * weights + bias) + residual), as the problem says; bias and
  // residual are empty where it has none.
  void forward(Stream&, Tensor x, Tensor weights, View<const float> bias, Tensor residual, Tensor y);
  // Adds to dweights, and makes dx or adds to it if it is not empty. dy may be f32 beside an x of bf16.
  void backward(Stream&, Tensor x, Tensor weights, Tensor dy, View<float> dweights, Tensor dx, Write);

 private:
  cuda::ConvolutionProblem problem_;
  std::unique_ptr<cuda::FastConvolution> fast_;
  Tensor workspace_, rounded_dy_;
  View<float> partial_sums_;
};

}  // namespace osprey
