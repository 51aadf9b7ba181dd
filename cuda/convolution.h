// The contract of convolution. The CPU side is in layers/convolution_reference.cpp, the kernels in
// cuda/convolution.cu and, for a few channels to a group, in cuda/depthwise.cu.
//
//   y[n,i,j,f] = bias[f] + sum over (p,q,ch) of w[f,p,q,ch] x[n, i*stride - before + p*dilation, ...,
//   group(f) + ch]
//
// A cross-correlation (the kernel is not flipped); outside of the image x is 0. With groups, filter f sees
// the input channels of its group only: groups divides both channel counts.
#pragma once

#include "core/activations.h"
#include "core/stream.h"
#include "core/tensor.h"
#include "core/window.h"
#include "cuda/row_chunks.h"

namespace osprey {

struct Convolution {
  Window2 window;
  int groups = 1;

  // x is {n, h, w, c}, weights {filters, size_h, size_w, c / groups}.
  Shape output(Shape x, int filters) const {
    return {x.n, window.h.outputs(x.h), window.w.outputs(x.w), filters};
  }
  Shape weights(Shape x, int filters) const { return {filters, window.h.size, window.w.size, x.c / groups}; }
  // Scratch of the CPU's form, which gathers the pixels under each window into a row ("im2col"): the rows of
  // one image and one group.
  Shape patches(Shape x) const {
    return {1, window.h.outputs(x.h), window.w.outputs(x.w), window.h.size * window.w.size * (x.c / groups)};
  }
};

namespace cpu {
// y is overwritten; bias {1,1,1,filters} may be empty.
void convolution_forward(Stream&, View<const float> x, View<const float> weights, View<const float> bias,
                         View<float> y, View<float> patches, Convolution);
// Adds to dx.
void convolution_backward_data(Stream&, View<const float> dy, View<const float> weights, View<float> dx,
                               View<float> patches, Convolution);
// Adds to dweights.
void convolution_backward_weights(Stream&, View<const float> x, View<const float> dy, View<float> dweights,
                                  View<float> patches, Convolution);
// dbias[c] += sum of dy over all pixels. `partial`: for the kernels.
void bias_backward(Stream&, View<const float> dy, View<float> dbias, View<float> partial = {});
}  // namespace cpu

// Scratch of cuda::bias_backward: the sum of each channel over each chunk of rows.
inline Shape bias_partial(Shape dy) { return {1, row_chunks(dy.rows(), dy.c), 1, dy.c}; }

// All images and groups are one launch, and nothing is gathered in memory first. x, weights and dx are of one
// type, f32 or bf16; y may be f32 beside bf16. Sums are made in float.
namespace cuda {

// What becomes of a sum before it is stored: residual_activation(activation(sum + bias) + residual).
struct Epilogue {
  View<const float> bias;  // {1,1,1,filters}; may be empty
  Activation activation = Activation::linear;
  Tensor residual = {};  // the shape and type of y; may be empty
  Activation residual_activation = Activation::linear;
};

void convolution_forward(Stream&, Tensor x, Tensor weights, Epilogue, Tensor y, Convolution);
// dx = the gradient, or dx += if `add`. dy has the type of the weights and of dx.
void convolution_backward_data(Stream&, Tensor dy, Tensor weights, Tensor dx, bool add, Convolution);
// Adds to dweights, with the help of convolution_scratch() floats of scratch. dy has the type of x.
void convolution_backward_weights(Stream&, Tensor x, Tensor dy, View<float> dweights, View<float> scratch,
                                  Convolution);
int convolution_scratch(Shape x, int filters, const Convolution&);
void bias_backward(Stream&, Tensor dy, View<float> dbias, View<float> partial);

}  // namespace cuda

}  // namespace osprey
