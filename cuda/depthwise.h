// Convolution in groups of so few channels that a product of matrices would be mostly empty: above all
// depthwise convolution, in which every channel is a group. The meaning of the arguments is in
// cuda/convolution.h, whose functions call these.
#pragma once

#include "cuda/convolution.h"

namespace osprey::cuda {

inline bool few_channels(Shape x, int filters, const Convolution& c) {
  constexpr int kFew = 8;
  return c.groups > 1 && x.c <= kFew * c.groups && filters <= kFew * c.groups;
}

void depthwise_forward(Stream&, Tensor x, Tensor weights, const Epilogue&, Tensor y, const Convolution&);
void depthwise_backward_data(Stream&, Tensor dy, Tensor weights, Tensor dx, bool add, const Convolution&);

// How many parts the rows of all images are cut into, so that a GPU has enough to do. With one part the sums
// are added to the gradient; with more, those of part k go to sums + k * size of the weights.
int depthwise_parts(Shape y, Shape weights);
void depthwise_backward_weights(Stream&, Tensor x, Tensor dy, Shape weights, View<float> sums,
                                const Convolution&);

}  // namespace osprey::cuda
