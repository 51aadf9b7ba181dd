// Which bytes of the arena each tensor of a step gets.
//
// Time runs in steps: the forward call of layer i is step i, its backward call step 2n - 1 - i. A tensor
// lives from its first writer to its last reader; tensors that never live together share bytes. An output
// that equals its input (alias), that may be written over it (in place), or that is a part of another
// (slice), is no tensor of its own.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "core/lifetimes.h"
#include "core/tensor.h"

namespace osprey {

// What the planner needs to know of a layer.
struct LayerMemory {
  std::vector<int> inputs;  // layers, or -1 for the network's input
  Shape output;
  Type type = Type::f32;            // of the output and of its gradient
  bool differentiable = false;      // has a backward call in this network
  bool is_head = false;             // its output is read after the last step
  std::vector<int> backward_reads;  // inputs (by position) that backward reads again
  bool backward_reads_output = false;
  int in_place = -1, alias = -1;  // input whose memory the output may take, or equals
  // The layer whose output has this one as a part, which begins so many bytes behind its beginning. It may
  // come later.
  int slice_of = -1;
  size_t slice_at = 0;
  bool lasting_gradient = false;  // never cleared: see NetworkOptions::uncleared_gradients
  std::vector<size_t> kept;       // bytes alive from forward to backward
  size_t scratch = 0;             // bytes of one call
};

struct MemoryPlan {
  struct Buffer {
    std::string what;  // "output of 3", "gradient of 3", ...
    Lifetime life;
    size_t offset = 0;
  };
  std::vector<Buffer> buffers;

  // Indexes into buffers; -1 where there is none.
  int input = -1, scratch = -1;
  std::vector<int> outputs, gradients;
  std::vector<size_t> output_offsets;  // of each output within its buffer
  std::vector<std::vector<int>> kept;
  // writes[i][k]: the backward call of layer i is the first to write the gradient of its k-th input.
  std::vector<std::vector<bool>> first_writer;

  size_t bytes = 0;                    // of the arena
  size_t peak = 0;                     // the most bytes alive at one step: no plan can need less
  size_t without_sharing = 0;          // if each tensor had bytes of its own
  size_t lasting = 0, parameters = 0;  // outside of the plan, for the summary
};

// `input`: the shape and the type of the network's input; its address does not matter.
MemoryPlan plan_memory(const std::vector<LayerMemory>& layers, Tensor input, bool training, bool keep_all);

}  // namespace osprey
