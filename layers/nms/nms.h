// Non-maximum suppression: of boxes that overlap, the one with the highest score stays.
#pragma once

#include <vector>

#include "layers/heads/head.h"
#include "layers/nms/nms_settings.h"

namespace osprey {

// Hard NMS, for each class by itself: candidates in falling order of probability (equal ones in the order of
// the list), and each that is left zeroes the probability of the later ones that it suppresses. Candidates
// with objectness 0 are dropped; all others stay, perhaps with nothing but zeros. Unless the classes are
// apart, a candidate keeps the probability of its best class (the first of equals) only, and all suppress
// each other.
void nms(Candidates& candidates, NmsRule rule, bool classes_apart = true);

// The same by a soft kind: probabilities of what overlaps fall, to 0 if too little is left.
void soft_nms(Candidates& candidates, SoftNmsRule rule, bool classes_apart = true);

// For plain lists: the indexes of the boxes that stay, by falling score. NaN scores come last.
std::vector<int> nms(const std::vector<Box>& boxes, const std::vector<float>& scores, NmsRule rule);
std::vector<int> nms(const std::vector<Box>& boxes, const std::vector<float>& scores, float threshold,
                     NmsKind kind = NmsKind::standard, float beta = 0.6f);

// Only boxes of one class suppress each other.
std::vector<int> batched_nms(const std::vector<Box>& boxes, const std::vector<float>& scores,
                             const std::vector<int>& classes, float threshold);

}  // namespace osprey
