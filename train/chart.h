// The curves of a training as one SVG picture: losses on a logarithmic axis, the score on a linear one.
#pragma once

#include <string>
#include <vector>

#include "train/checkpoint.h"

namespace osprey {

// score_name: what was measured on the validation list, as "mAP@0.5".
std::string chart_svg(const std::string& title, const std::vector<HistoryPoint>& history, int64_t max_batches,
                      const std::string& score_name);

}  // namespace osprey
