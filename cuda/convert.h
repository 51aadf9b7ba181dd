// The contract of conversion between the types of activations: a copy that rounds. The CPU computes in float
// alone and has no form of it; the kernel is in cuda/convert.cu.
#pragma once

#include "core/stream.h"
#include "core/tensor.h"

namespace osprey::cuda {

// `to` receives the values of `from`, as many, rounded to its type. Each may be float or bf16.
void convert(Stream&, Tensor from, Tensor to);

}  // namespace osprey::cuda
