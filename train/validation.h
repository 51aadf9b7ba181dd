// What a training measures on its validation list: by a network of its own, so that a measurement changes
// nothing of the training.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "models/network.h"
#include "train/detector.h"
#include "train/validation_loss.h"

namespace osprey {

struct Measured {
  float score = -1;  // of a detector mAP@0.5 as Darknet's `map`, of a classifier top-1; -1: not measured
  float top_k = -1;  // of a classifier with `top` above 1,
  int k = 1;         // which this is
  float loss = -1;   // of an image, if it was asked for
  std::optional<Evaluated> found;  // of a detector
};

class Validation {
 public:
  // `options`: as the training network's. `top`: the k of a classifier's top-k. `with_loss`: it is measured,
  // too.
  Validation(const std::vector<Section>& sections, NetworkOptions options, Dataset set, int top,
             bool with_loss);

  // `step`: the training's.
  Measured measure(const Parameters& trained, const Step& step);
  const Dataset& set() const { return set_; }
  // "mAP@0.5" or "top-1"
  static const char* score_name(const Network& network);

 private:
  Measured measure_score();

  Dataset set_;
  Network network_;
  int top_;
  std::unique_ptr<ValidationLoss> loss_;
};

}  // namespace osprey
