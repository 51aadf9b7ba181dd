// All that a training needs to go on as if it had never stopped, in one safetensors file: parameters, the
// optimizer's state, position, and the curves so far. Random numbers are functions of the seed and the
// position.
#pragma once

#include <string>
#include <vector>

#include "models/network.h"
#include "train/optimizer.h"

namespace osprey {

struct HistoryPoint {
  int64_t iteration = 0;
  float loss = 0, average_loss = 0, rate = 0;
  float score = -1;            // mAP@0.5 or top-1 where it was measured, else -1
  float validation_loss = -1;  // likewise, of an image
};

struct TrainingState {
  int64_t iteration = 0;  // finished
  uint64_t seed = 0;
  double average_loss =
      -1;  // of all iterations: 0.9 old + 0.1 new, as Darknet prints it; -1 before the first
  float best_score = -1;
  std::vector<HistoryPoint> history;
};

// Without an optimizer its state beyond the momentum is left out.
void save_checkpoint(const std::string& path, const Network& network, const TrainingState& state,
                     const Optimizer* optimizer = nullptr);

// Error: not a checkpoint, or one of another network (the first array that differs is named) or of another
// optimizer. An average that the checkpoint does not have begins with the next iteration.
TrainingState load_checkpoint(const std::string& path, Network& network, Optimizer* optimizer = nullptr);

// Only what was counted and measured. Error: not a checkpoint.
TrainingState read_training_state(const std::string& path);

}  // namespace osprey
