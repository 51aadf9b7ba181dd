// From images to detections with a network that never trains; what `detect`, `eval` and the training's mAP
// share.
#pragma once

#include <functional>
#include <vector>

#include "data/dataset.h"
#include "data/image.h"
#include "models/detector.h"
#include "models/network.h"
#include "train/metrics/boxes.h"

namespace osprey {

struct DetectionOptions {
  float threshold = 0.25f, nms_threshold = 0.45f;  // Darknet's for `test`
  Fit fit = Fit::stretch;
};

Fit fit_of(const NetSection& net);  // as the .cfg's letter_box says

class ImageDetector {
 public:
  // For the mini-batch that the network is planned for now. Error: a network without a head.
  ImageDetector(Network& network, const DetectionOptions& options);

  // Detections of each image, at most as many images as the network's batch, with the network's channels.
  std::vector<std::vector<Detection>> detect(const std::vector<const ByteImage*>& images);

 private:
  void give(const std::vector<const ByteImage*>& images);

  Network& network_;
  DetectionOptions options_;
  Detector detector_;
  cuda::Graph graph_;  // forward, candidates, suppression: on a device, once captured
  std::vector<uint8_t> bytes_;
  std::vector<SamplePlan> plans_;
};

// What an evaluation compares, of a whole data set. Images that cannot be read are told, counted and left out
// (their truths count as missed).
struct Evaluated {
  std::vector<TruthBox> truths;
  std::vector<DetectedBox> detections;  // `image` is the index of the sample
  int broken_images = 0;
};

// `progress` is told how many images are done.
Evaluated detect_all(Network& network, const Dataset& dataset, const DetectionOptions& options,
                     const std::function<void(int)>& progress = {});

// The thresholds of Darknet's `map`: low, so that the whole curve is seen.
inline DetectionOptions map_options(Fit fit) { return {0.005f, 0.45f, fit}; }

}  // namespace osprey
