// Folding for products that pack their weights.
#pragma once

#include "core/stream.h"
#include "cuda/batchnorm.h"
#include "layers/convolution_cpu.h"
#include "layers/filter_weights.h"

namespace osprey {

// Batch norm goes into the weights, which `product` packs, and into the biases {1,1,1,filters}. With `read`
// the weights are not in their memory, and it brings them.
void fold_and_pack(Stream&, View<const float> weights, const ReadFilters& read, const BatchNorm&,
                   CpuConvolution& product, View<float> packed, View<float> biases);

}  // namespace osprey
