// The contract of grad_centr in [convolutional]: the mean of a filter's gradients is taken from each of them
// (Yong et al., "Gradient centralization", ECCV 2020). The CPU side is in layers/centre.cpp, the kernel in
// cuda/centre.cu.
#pragma once

#include "core/stream.h"
#include "core/view.h"

namespace osprey {

namespace cpu {
void centre_gradients(Stream&, View<float> dweights);  // {filters, size, size, c}
}  // namespace cpu

namespace cuda {
void centre_gradients(Stream&, View<float> dweights);
}  // namespace cuda

}  // namespace osprey
