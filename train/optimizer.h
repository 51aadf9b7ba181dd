// How the parameters of a network are described to the optimizers of cuda/optimizer.h.
#pragma once

#include <vector>

#include "cuda/optimizer.h"
#include "models/net_section.h"
#include "models/parameters.h"

namespace osprey {

// The rule of each span. Under SGD Darknet averages gradients over the batch, and decay acts on weights only,
// not on biases and batch-norm scales; under Adam, which no scale of the gradients moves, it does neither.
std::vector<SpanRule> span_rules(const std::vector<ParameterSpan>& spans, const NetSection& net);

// For each line of buffers of `size` floats the index of the span that it belongs to.
std::vector<int> spans_of_lines(const std::vector<ParameterSpan>& spans, size_t size);

}  // namespace osprey
