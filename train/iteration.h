// One iteration of training: forward, loss and backward over all mini-batches of a batch, then one update.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "models/network.h"
#include "train/optimizer.h"

namespace osprey {

struct IterationResult {
  double loss = 0;   // per image, the mean over the layers that have a loss: what Darknet prints
  float rate = 0;    // the learning rate it was done with
  LossReport parts;  // summed over layers and mini-batches
};

// Puts the next mini-batch into the network's input and truths, and names its images for messages.
using FillMiniBatch = std::function<const std::vector<std::string>&(Network&)>;

// Iterations count from 1. A loss or gradient that is not finite is an Error that names the layer and the
// images of the mini-batch; the parameters are then those of the iteration before.
IterationResult run_iteration(Network& network, Optimizer& optimizer, int64_t iteration, uint64_t seed,
                              const FillMiniBatch& fill);

}  // namespace osprey
