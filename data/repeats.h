// Repeat-factor sampling (Gupta, Dollár and Girshick, "LVIS", CVPR 2019): images of rare classes are seen
// more often in an epoch. With f the share of the images that show a class,
//
//   r(class) = max(1, (threshold / f)^power)        r(image) = the largest r of its classes
//
// The paper's power is 1/2; with threshold 1 and power 1 every class of a classifier's set is seen equally
// often.
#pragma once

#include <vector>

#include "data/dataset.h"

namespace osprey {

// r of each sample; empty if it is 1 for all of them.
std::vector<float> repeat_factors(const Dataset& dataset, float threshold, float power);

// The samples of an epoch by rising index, each floor(r) or ceil(r) times, r on the average over `offset`,
// which is in [0, 1). Their number is the same for every offset: the sum of r, rounded.
std::vector<int> repeated(const std::vector<float>& factors, double offset);

}  // namespace osprey
