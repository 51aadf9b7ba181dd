// What all heads do in backward: their loss has already said, in forward, what their input should learn.
#pragma once

#include "layers/layer.h"

namespace osprey::cpu {

// dx receives minus delta, which is the negative gradient.
void head_backward(Stream&, View<const float> delta, View<float> dx, Write write);

}  // namespace osprey::cpu
