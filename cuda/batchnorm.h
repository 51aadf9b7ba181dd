// The contract of batch normalisation with the activation that follows it, for [batchnorm] and
// [convolutional]. The CPU side is in layers/batchnorm.cpp, the kernels in cuda/batchnorm.cu.
//
//   y = activation(scale * (x - mean) / sqrt(variance + epsilon) + bias)      for each channel
//
// Ioffe and Szegedy, "Batch Normalization", 2015; semantics of cuDNN's spatial mode: training normalises with
// the biased variance of the mini-batch (over n), and the rolling variance takes in the unbiased one (n - 1):
//   rolling = (1 - momentum) rolling + momentum new.
#pragma once

#include "core/activations.h"
#include "core/stream.h"
#include "core/tensor.h"
#include "cuda/row_chunks.h"

namespace osprey {

struct BatchNorm {
  View<float> scale, bias;                     // {1,1,1,c}
  View<float> rolling_mean, rolling_variance;  // {1,1,1,c}
  View<float> mean, inverse_deviation;         // {1,1,1,c}  kept from forward to backward; training only
  View<float> scale_gradient, bias_gradient;   // {1,1,1,c}  backward adds to them; if frozen, may be empty
  float epsilon = 1e-5f;
  float momentum = 0.01f;
  Activation activation = Activation::linear;
  bool frozen = false;  // in training, too, normalise with the rolling statistics and treat them as constants

  bool has_sums() const { return !frozen || scale_gradient; }  // what backward sums over rows is wanted

  View<float> partial;  // batchnorm_partial(x)  scratch of forward and backward in training; kernels only
};

// Two numbers of each channel for each chunk of rows, and two for all of them.
inline Shape batchnorm_partial(Shape x) { return {1, row_chunks(x.rows(), x.c) + 1, 2, x.c}; }

// Types: all of one; on a GPU also x of bf16 and the others of float.
namespace cpu {
// Normalises with the statistics of x (unless frozen), updates the rolling ones, fills mean and
// inverse_deviation. x and y may be one tensor only if backward is not needed.
void batchnorm_forward_training(Stream&, Tensor x, Tensor y, BatchNorm);
void batchnorm_forward_inference(Stream&, Tensor x, Tensor y, BatchNorm);
// x is the input of forward. dx may be dy itself (then it is overwritten); otherwise dx is added to.
void batchnorm_backward(Stream&, Tensor x, Tensor dy, Tensor dx, BatchNorm);
}  // namespace cpu

namespace cuda {
void batchnorm_forward_training(Stream&, Tensor x, Tensor y, BatchNorm);
void batchnorm_forward_inference(Stream&, Tensor x, Tensor y, BatchNorm);
void batchnorm_backward(Stream&, Tensor x, Tensor dy, Tensor dx, BatchNorm);
}  // namespace cuda

}  // namespace osprey
