// The gradient of a convolution's weights, as sums of outer products of gradients and pixels.
#pragma once

#include "core/tensor.h"
#include "cuda/convolution.h"

namespace osprey::simd {

// dweights[f][tap][c] += sum over all pixels q of y: dy[q][f] * x[q * stride + tap][c], in the order of q,
// whatever the number of threads. dweights is {filters, h, w, c / groups}. `rounds`: both factors are rounded
// to bf16, which has_bf16_products() must allow; only then they may be in bf16 already.
void weight_gradient(Tensor x, Tensor dy, View<float> dweights, const Convolution&, bool rounds = false);

}  // namespace osprey::simd
