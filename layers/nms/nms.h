// Non-maximum suppression: of boxes that overlap, the one with the highest score stays.
#pragma once

#include <vector>

#include "layers/heads/head.h"

namespace osprey {

// Hard NMS, for each class by itself: candidates in falling order of probability (equal ones in the order of
// the list), and each that is left zeroes the probability of the later ones that overlap it by more than
// `threshold` (0..1). Candidates with objectness 0 are dropped; all others stay, perhaps with nothing but
// zeros.
void nms(Candidates& candidates, float threshold, NmsKind kind = NmsKind::standard, float beta = 0.6f);

// The same for plain lists: the indexes of the boxes that stay, by falling score. NaN scores come last.
std::vector<int> nms(const std::vector<Box>& boxes, const std::vector<float>& scores, float threshold,
                     NmsKind kind = NmsKind::standard, float beta = 0.6f);

// Only boxes of one class suppress each other.
std::vector<int> batched_nms(const std::vector<Box>& boxes, const std::vector<float>& scores,
                             const std::vector<int>& classes, float threshold);

}  // namespace osprey
