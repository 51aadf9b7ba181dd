// What a network proposes in the images of a data set: the output of its [rpn].
#pragma once

#include "train/detector.h"

namespace osprey {

// The proposals of all images as detections of class 0, clipped to their image, and the truths. Error: a
// network without [rpn]; of several the last one's are taken.
Evaluated propose_all(Network& network, const Dataset& dataset, Fit fit,
                      const std::function<void(int)>& progress = {});

// Writes them to `folder`, which it makes, a file for each image, as data/proposals.h says. Returns how many
// images could not be read and have none. Error: as above, or two images would have one file.
int write_all_proposals(Network& network, const Dataset& dataset, Fit fit, const std::string& folder,
                        const std::function<void(int)>& progress = {});

}  // namespace osprey
