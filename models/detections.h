// What a network has found in an image: boxes in its pixels, one for each class that is likely enough.
#pragma once

#include <optional>
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

struct DetectorSettings {
  float threshold = 0.25f;  // 0..1: scores are above it
  // Instead of what the last head says. Another kind brings its usual threshold; a threshold of 0 leaves all
  // duplicates.
  std::optional<float> nms_threshold;
  std::optional<NmsKind> nms;
  float tree_threshold = 0.5f;  // of heads with a tree of classes, see Thresholds
};
NmsSettings nms_settings(const Head& last, const DetectorSettings& settings);

// All heads' candidates of one image of the mini-batch, in the order of the heads. Error: heads that differ
// in their number of classes.
Candidates candidates(const std::vector<HeadOutput>& heads, int image, Thresholds thresholds);

// The same after non-maximum suppression, as the last head wants it done, by falling score; equal scores in
// the order of the heads' lists. Scores are above the threshold. Boxes that are not finite, as an untrained
// network may predict, are left out. IoU and Darknet's distances are measured in units of the image, DIoU and
// NWD in pixels of the network input [N,H,W,C].
std::vector<Detection> detections(const std::vector<HeadOutput>& heads, int image,
                                  const DetectorSettings& settings, const ImagePlace& place,
                                  Shape network_input);

}  // namespace osprey
