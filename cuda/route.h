// The contract of [route]: channels copied from tensor to tensor of equal images. The CPU side is in
// layers/route.cpp, the kernels in cuda/route.cu.
#pragma once

#include "core/stream.h"
#include "core/tensor.h"

namespace osprey {

namespace cpu {
// y[..., to + c] = x[..., from + c] for so many channels; the other channels of y stay.
void route_forward(Stream&, Tensor x, int from, Tensor y, int to, int channels);
// dx[..., to + c] += dy[..., from + c]
void route_backward(Stream&, Tensor dy, int from, Tensor dx, int to, int channels);
// dx[..., to + c] = dy[..., from + c], and zeros for the other channels.
void route_backward_overwrite(Stream&, Tensor dy, int from, Tensor dx, int to, int channels);
}  // namespace cpu

namespace cuda {
void route_forward(Stream&, Tensor x, int from, Tensor y, int to, int channels);
void route_backward(Stream&, Tensor dy, int from, Tensor dx, int to, int channels);
void route_backward_overwrite(Stream&, Tensor dy, int from, Tensor dx, int to, int channels);
}  // namespace cuda

}  // namespace osprey
