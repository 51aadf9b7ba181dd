// What a network has found in an image: boxes in its pixels, one for each class that is likely enough.
#pragma once

#include <vector>

#include "layers/heads/head.h"

namespace osprey {

struct Detection {
  int class_id = 0;
  float score = 0;
  Box box;  // pixels of the original image; may reach beyond its edges
};

// What a head has made of a mini-batch, in the host's memory.
struct HeadOutput {
  const Head* head;
  View<const float> output;
};

// All heads' candidates of one image of the mini-batch, in the order of the heads. Error: heads that differ
// in their number of classes.
Candidates candidates(const std::vector<HeadOutput>& heads, int image, float threshold);

// The same after non-maximum suppression, as the last head wants it done (threshold 0: none), by falling
// score; equal scores in the order of the heads' lists. Scores are above `threshold`. Boxes that are not
// finite, as an untrained network may predict, are left out.
std::vector<Detection> detections(const std::vector<HeadOutput>& heads, int image, float threshold,
                                  float nms_threshold, const ImagePlace& place);

// For heads on the CPU, whose outputs lie in the host's memory anyway.
std::vector<Detection> detections(const std::vector<Head*>& heads, int image, float threshold,
                                  float nms_threshold, Placement placement, int image_width,
                                  int image_height);

}  // namespace osprey
