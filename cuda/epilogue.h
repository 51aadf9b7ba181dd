// What follows the sums of a convolution, for the kernels of libraries that only sum: one pass over memory.
//
//   y[n,i,j,f] = residual_activation(activation(sums[n,i,j,f] + bias[f]) + residual[n,i,j,f])
//
// With y as residual too it adds: y += sums, in whatever types.
#pragma once

#include "core/activations.h"
#include "core/stream.h"
#include "core/tensor.h"

namespace osprey::cuda {

// sums and y are f32 or bf16, each for itself; residual has y's type. bias {1,1,1,c} and residual may be
// empty; without a residual its activation is not applied. y may be sums, and may be residual.
void epilogue(Stream&, Tensor sums, View<const float> bias, Activation, Tensor residual,
              Activation residual_activation, Tensor y);

}  // namespace osprey::cuda
