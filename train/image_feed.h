// Whole images into a network that never trains.
#pragma once

#include <vector>

#include "cuda/detections.h"
#include "data/image.h"
#include "data/proposals.h"
#include "models/network.h"

namespace osprey {

Fit fit_of(const NetSection& net);  // as the .cfg's letter_box says

class ImageFeed {
 public:
  ImageFeed(Network& network, Fit fit) : network_(network), fit_(fit) {}

  // For the next upload() of the network: at most as many images as its batch, with its channels; and for a
  // network with [proposals] those of each image. Error: such a network, and no proposals.
  void give(const std::vector<const ByteImage*>& images,
            const std::vector<std::vector<ProposedBox>>& proposals = {});
  // Where an image then lies in the network input.
  ImagePlace place(const ByteImage& image) const;

 private:
  void give_proposals(const std::vector<const ByteImage*>& images,
                      const std::vector<std::vector<ProposedBox>>& proposals);

  Network& network_;
  Fit fit_;
  std::vector<uint8_t> bytes_;
  std::vector<SamplePlan> plans_;
};

}  // namespace osprey
