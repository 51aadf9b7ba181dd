// The contract of preprocessing: images of 8 or 16 bits become the input of a network, for detection
// (stretched or letterboxed) and for training (augmented). The kernel is in cuda/preprocess.cu. The CPU's
// form, with the same results to the last bit, is in data/render.cpp; it has images of floats.
#pragma once

#include <cstdint>

#include "core/sample.h"
#include "core/stream.h"
#include "core/tensor.h"

namespace osprey::cuda {

// y [N,H,W,channels], float or bf16: image n as plans[n] describes it, whose parts must cover it. `bytes`
// holds those of all images; both are in memory of the device. One launch makes a mini-batch; it is no part
// of a captured step, so that `bytes` may move when a batch needs a larger buffer.
void preprocess(Stream&, const uint8_t* bytes, const SamplePlan* plans, Tensor y);

}  // namespace osprey::cuda
