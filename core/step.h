// What goes in and out of a step of training besides the images. All of it lives in memory of the network's
// device, at one address for the life of the network, so that a captured step sees new values.
#pragma once

#include <cstdint>

#include "core/box.h"
#include "core/view.h"

namespace osprey {

// What changes from step to step.
struct Step {
  int64_t iteration = 0;  // of weight updates, from 1
  int64_t pass = 0;       // mini-batches run before this one; counts within an iteration too
  int64_t seen = 0;       // images so far, this mini-batch included, as Darknet counts them
  uint64_t seed = 0;
  float learning_rate = 0;
};

struct Truth {
  CentreBox box;  // in units of the network input, 0..1
  int class_id = -1;
};

// The target of a value that learns nothing: Darknet's SECRET_NUM.
constexpr float kMaskedTarget = -1234;

// Ground truth of a mini-batch, at a fixed capacity. Darknet's form, which its heads and labels share.
struct Truths {
  View<float>
      boxes;         // [N, 1, capacity, 5]: x, y, w, h (centre and size in units of the network input), class
  View<int> counts;  // [N, 1, 1, 1]: how many of an image's boxes are valid
};

// Boxes in which there may be an object, given together with the images, at a fixed capacity.
struct Proposals {
  View<float> boxes;  // [N, 1, capacity, 5]: x, y, w, h (centre and size in units of the network input), score
  View<int> counts;   // [N, 1, 1, 1]: how many of an image's boxes are valid
};

// What a loss layer has to tell of a forward pass in training, summed over the mini-batch.
struct LossReport {
  double loss = 0;  // Darknet's cost of the layer
  double iou = 0;   // sum over `matched`
  double class_loss = 0, box_loss = 0, objectness_loss = 0;
  int64_t matched = 0;  // positives
};

HOST_DEVICE inline void add(LossReport& sum, const LossReport& report) {
  sum.loss += report.loss;
  sum.iou += report.iou;
  sum.class_loss += report.class_loss;
  sum.box_loss += report.box_loss;
  sum.objectness_loss += report.objectness_loss;
  sum.matched += report.matched;
}

}  // namespace osprey
