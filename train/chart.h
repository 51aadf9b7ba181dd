// The curves of a training as one SVG picture: loss on a logarithmic axis, mAP on a linear one.
#pragma once

#include <string>
#include <vector>

#include "train/checkpoint.h"

namespace osprey {

std::string chart_svg(const std::string& title, const std::vector<HistoryPoint>& history,
                      int64_t max_batches);

}  // namespace osprey
