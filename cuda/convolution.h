// The contract of convolution, as a product of matrices: each output pixel gathers the pixels under its window
// into a row ("im2col"), and the rows times the weights are the output. The CPU side is in
// layers/convolution_reference.cpp, the kernels in cuda/convolution.cu.
//
//   y[n,i,j,f] = bias[f] + sum over (p,q,ch) of w[f,p,q,ch] x[n, i*stride - before + p*dilation, ..., group(f) + ch]
//
// A cross-correlation (the kernel is not flipped); outside of the image x is 0. With groups, filter f sees the
// input channels of its group only: groups divides both channel counts.
#pragma once

#include "core/stream.h"
#include "core/tensor.h"
#include "core/window.h"

namespace osprey {

struct Convolution {
  Window2 window;
  int groups = 1;

  // x is {n, h, w, c}, weights {filters, size_h, size_w, c / groups}.
  Shape output(Shape x, int filters) const {
    return {x.n, window.h.outputs(x.h), window.w.outputs(x.w), filters};
  }
  Shape weights(Shape x, int filters) const { return {filters, window.h.size, window.w.size, x.c / groups}; }
  // Scratch: the gathered rows of one image and one group.
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
// dbias[c] += sum of dy over all pixels.
void bias_backward(Stream&, View<const float> dy, View<float> dbias);
}  // namespace cpu

namespace cuda {
void convolution_forward(Stream&, View<const float> x, View<const float> weights, View<const float> bias,
                         View<float> y, View<float> patches, Convolution);
void convolution_backward_data(Stream&, View<const float> dy, View<const float> weights, View<float> dx,
                               View<float> patches, Convolution);
void convolution_backward_weights(Stream&, View<const float> x, View<const float> dy, View<float> dweights,
                                  View<float> patches, Convolution);
void bias_backward(Stream&, View<const float> dy, View<float> dbias);
}  // namespace cuda

}  // namespace osprey
