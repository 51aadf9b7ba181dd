// The contract of group normalisation with the activation that follows it. The CPU side is in
// layers/group_norm.cpp, the kernels in cuda/group_norm.cu.
//
//   y = activation(scale * (x - mean) / sqrt(variance + epsilon) + bias)
//
// Wu and He, "Group Normalization", ECCV 2018: mean and (biased) variance are those of a group of
// neighbouring channels over all pixels of one image; scale and bias belong to each channel. An image is
// normalised alone, so that training and inference are the same, whatever the size of the mini-batch.
#pragma once

#include "core/activations.h"
#include "core/stream.h"
#include "core/tensor.h"
#include "cuda/row_chunks.h"

namespace osprey {

struct GroupNorm {
  int groups = 32;                            // they divide the channels
  View<float> scale, bias;                    // [1,1,1,C]
  View<float> mean, inverse_deviation;        // [N,1,1,groups]; forward fills them, backward reads them
  View<float> scale_gradient, bias_gradient;  // [1,1,1,C]; backward adds to them; empty if frozen
  float epsilon = 1e-5f;
  Activation activation = Activation::linear;

  View<float> means;    // [N,1,2,groups]  scratch of backward
  View<float> partial;  // group_norm_partial(x)  scratch of forward and backward; kernels only
};

// Two numbers of each channel for each chunk of the rows of each image.
inline Shape group_norm_partial(Shape x) { return {x.n, row_chunks(x.h * x.w, x.c), 2, x.c}; }

namespace cpu {
void group_norm_forward(Stream&, View<const float> x, View<float> y, GroupNorm);
// x is the input of forward. Makes dx or, with `add`, adds to it; where it is empty only the gradients of the
// parameters are made. dx may be dy itself without `add`.
void group_norm_backward(Stream&, View<const float> x, View<const float> dy, View<float> dx, bool add,
                         GroupNorm);
}  // namespace cpu

// All tensors are of one type, f32 or bf16.
namespace cuda {
void group_norm_forward(Stream&, Tensor x, Tensor y, GroupNorm);
void group_norm_backward(Stream&, Tensor x, Tensor dy, Tensor dx, bool add, GroupNorm);
}  // namespace cuda

}  // namespace osprey
