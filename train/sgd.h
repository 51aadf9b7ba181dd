// Stochastic gradient descent with momentum and weight decay, one pass over the flat parameter buffer.
#pragma once

#include "models/parameters.h"

namespace osprey {

struct SgdStep {
  float learning_rate = 0.001f, momentum = 0.9f;
  float decay = 0;  // of weights; biases and batch-norm scales have none
  int batch = 1;    // images over which the gradients were summed
};

// Darknet's rule, for the sum g of the gradients of a whole batch:
//   v <- momentum v + g + decay batch w        w <- w - (learning_rate / batch) v
// The rate is outside of v, as in PyTorch: a change of the rate acts at once on all of the momentum. A
// layer's own factor multiplies the rate; a factor of 0 freezes it. The gradients are set to zero for the
// next batch.
void sgd_step(Parameters& parameters, const SgdStep& step);

// The first span with a gradient that is not a finite number, or null.
const ParameterSpan* first_not_finite_gradient(const Parameters& parameters);

}  // namespace osprey
