// Whole images into a network that never trains.
#pragma once

#include <vector>

#include "cuda/detections.h"
#include "data/image.h"
#include "models/network.h"

namespace osprey {

Fit fit_of(const NetSection& net);  // as the .cfg's letter_box says

class ImageFeed {
 public:
  ImageFeed(Network& network, Fit fit) : network_(network), fit_(fit) {}

  // For the next upload() of the network: at most as many images as its batch, with its channels.
  void give(const std::vector<const ByteImage*>& images);
  // Where an image then lies in the network input.
  ImagePlace place(const ByteImage& image) const;

 private:
  Network& network_;
  Fit fit_;
  std::vector<uint8_t> bytes_;
  std::vector<SamplePlan> plans_;
};

}  // namespace osprey
