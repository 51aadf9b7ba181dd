// What a network proposes in the images of a data set: the output of its [rpn].
#pragma once

#include "train/detector.h"

namespace osprey {

// The proposals of all images as detections of class 0, clipped to their image, and the truths. Error: a
// network without [rpn]; of several the last one's are taken.
Evaluated propose_all(Network& network, const Dataset& dataset, Fit fit,
                      const std::function<void(int)>& progress = {});

}  // namespace osprey
