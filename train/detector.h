// From images to detections with a network that never trains; what `detect`, `eval` and the training's mAP
// share.
#pragma once

#include <functional>
#include <vector>

#include "data/dataset.h"
#include "models/detector.h"
#include "train/image_feed.h"
#include "train/metrics/boxes.h"

namespace osprey {

struct DetectionOptions {
  DetectorSettings settings;  // Darknet's threshold for `test`, 0.25
  Fit fit = Fit::stretch;
};

class ImageDetector {
 public:
  // For the mini-batch that the network is planned for now. Error: a network without a head.
  ImageDetector(Network& network, const DetectionOptions& options);

  // Detections of each image, at most as many images as the network's batch, with the network's channels; for
  // a network with [proposals] those of each image.
  std::vector<std::vector<Detection>> detect(const std::vector<const ByteImage*>& images,
                                             const std::vector<std::vector<ProposedBox>>& proposals = {});

 private:
  ImageFeed feed_;
  Detector detector_;
};

// What an evaluation compares, of a whole data set. Images that cannot be read are told, counted and left out
// (their truths count as missed).
struct Evaluated {
  std::vector<TruthBox> truths;
  std::vector<DetectedBox> detections;  // `image` is the index of the sample
  int broken_images = 0;
};

// For each image the boxes that were found in it, in pixels of the image; their `image` is not read. An image
// that could not be read has no sample.
using FindBoxes = std::function<std::vector<std::vector<DetectedBox>>(
    const std::vector<const ByteImage*>& images, const std::vector<const Sample*>& samples)>;

// Gives `find` all images, as many together as the network's batch. `progress` is told how many are done.
Evaluated evaluate_images(const Network& network, const Dataset& dataset, const FindBoxes& find,
                          const std::function<void(int)>& progress = {});
// From the files of the samples, if the network has [proposals]; find_proposals() has found them.
std::vector<std::vector<ProposedBox>> proposals_for(const Network& network,
                                                    const std::vector<const Sample*>& samples);

Evaluated detect_all(Network& network, const Dataset& dataset, const DetectionOptions& options,
                     const std::function<void(int)>& progress = {});

// With the threshold of Darknet's `map`: low, so that the whole curve is seen.
inline DetectionOptions map_options(Fit fit) { return {{0.005f, {}, {}}, fit}; }

}  // namespace osprey
