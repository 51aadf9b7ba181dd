// The contract of normalisation: images become the input that layers read. The CPU side is in
// models/normalise.cpp, the kernel in cuda/normalise.cu.
#pragma once

#include "core/normalisation.h"
#include "core/stream.h"
#include "core/tensor.h"

namespace osprey {

// `to` [N,H,W,C], float or bf16, receives the normalised values of `images` [N,H,W,C], float. C is at most
// Normalisation::kMostChannels.
namespace cpu {
void normalise(Stream&, View<const float> images, Normalisation, Tensor to);  // to float
}  // namespace cpu

namespace cuda {
void normalise(Stream&, View<const float> images, Normalisation, Tensor to);
}  // namespace cuda

}  // namespace osprey
