// The loss on images that are not trained on: of a network as in training, but with the rolling statistics of
// its batch norm, without dropout, and with images as evaluation sees them.
#pragma once

#include "data/dataset.h"
#include "data/image.h"
#include "models/network.h"

namespace osprey {

class ValidationLoss {
 public:
  static constexpr int kLargestBatch = 8;
  // Of its network, from those of the training network.
  static NetworkOptions options_of(NetworkOptions training);

  // Like the training network, for at most 8 images at a time. `set` must outlive it.
  ValidationLoss(const std::vector<Section>& sections, NetworkOptions options, const Dataset& set);

  // Of an image, as the training's loss is told; an image that cannot be read counts as black. `step` is the
  // training's: some losses depend on how far it is.
  double measure(const Parameters& trained, const Step& step);

 private:
  void put_truths(int image, const Sample& sample, const Letterbox& place);
  void put_targets(int image, const Sample& sample);

  const Dataset& set_;
  Network network_;
};

}  // namespace osprey
