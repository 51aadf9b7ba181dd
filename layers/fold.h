// Folding for products that pack their weights.
#pragma once

#include "core/stream.h"
#include "cuda/batchnorm.h"
#include "layers/convolution_cpu.h"
#include "layers/layer.h"

namespace osprey {

// Batch norm goes into the weights, which `product` packs, and into the biases {1,1,1,filters}. Weights that
// are not kept are folded where they are.
void fold_and_pack(Stream&, View<float> weights, const BatchNorm&, WhenPacked sources,
                   CpuConvolution& product, View<float> packed, View<float> biases);

}  // namespace osprey
