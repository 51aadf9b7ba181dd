// One iteration of training: forward, loss and backward over all mini-batches of a batch, then one update.
//
// On a GPU this is one CUDA graph, captured when the network's plan is new and replayed from then on; with
// subdivisions it is two, since the host feeds each mini-batch: one for a mini-batch, one for the update.
//
// Several processes deal a batch's mini-batches among them, and each makes the step that one alone would
// make, but for the order in which gradients are added: batch, rate and iterations stay as they are
// (docs/training.md).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cuda/gpu_group.h"
#include "cuda/graph.h"
#include "models/network.h"
#include "train/optimizer.h"
#include "train/process_group.h"

namespace osprey {

struct IterationResult {
  double loss = 0;   // per image, the mean over the layers that have a loss: what Darknet prints
  float rate = 0;    // the learning rate it was done with
  LossReport parts;  // summed over layers and mini-batches
};

// The losses since the network's clear_losses() per image, the mean over the layers that have one; adds what
// else they tell to `parts`.
double mean_loss(const Network& network, int64_t images, LossReport& parts);

// The mini-batches of a batch that a process of a group takes.
struct Share {
  int first = 0, count = 1;
  int later = 0;  // those of others that come after these
};
Share share_of(int subdivisions, const ProcessGroup& group);  // subdivisions: a multiple of the group's size

// Puts the next mini-batch into the network's input and truths, and names its images for messages.
using FillMiniBatch = std::function<const std::vector<std::string>&(Network&)>;

class TrainingStep {
 public:
  // The network must be planned. `eager`: no graphs; each kernel is started anew. Error: no layer has a loss.
  // The optimizer knows of the group's share.
  TrainingStep(Network& network, Optimizer& optimizer, bool eager = false,
               ProcessGroup& group = ProcessGroup::own());

  // Iterations count from 1. A loss or gradient that is not finite is an Error that names the layer and the
  // images of the mini-batch; the parameters are then those of the iteration before.
  // `another_follows`: the next call is for the next iteration, with the same plan of the network. A device
  // is then given its first mini-batch while it is still at work on this one.
  IterationResult run(int64_t iteration, uint64_t seed, const FillMiniBatch& fill,
                      bool another_follows = false);

 private:
  void pass();    // of one mini-batch: work of the device alone
  void update();  // likewise
  void prepare_graphs();
  void run_passes(int64_t iteration, const FillMiniBatch& fill);
  void share();  // what the passes of all processes have made
  void look_ahead(const FillMiniBatch& fill);
  void take(int m, const FillMiniBatch& fill);  // brings the m-th mini-batch to the device
  IterationResult result(float rate);
  [[noreturn]] void blame(const Faults& faults, int64_t iteration);

  Network& network_;
  Optimizer& optimizer_;
  ProcessGroup& group_;
  const Share share_;
  std::unique_ptr<cuda::GpuGroup> gpus_;  // of the group, where they reach each other without the host
  bool eager_;
  int64_t plan_ = -1;  // the network's plan that the graphs were captured for
  cuda::Graph pass_, update_;
  std::vector<std::vector<std::string>> images_;  // of each mini-batch of this iteration
  bool ahead_ = false;                            // the next mini-batch is in the host's memory already,
  std::vector<std::string> next_images_;          // made of these
};

}  // namespace osprey
