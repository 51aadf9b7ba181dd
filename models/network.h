// From .cfg text to a network that runs: sections become layers, references become edges, and all memory of a
// step is planned before the first one.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/arena.h"
#include "layers/heads/head.h"
#include "layers/layer.h"
#include "models/memory_plan.h"
#include "models/net_section.h"
#include "models/parameters.h"

namespace osprey {

struct NetworkOptions {
  BuildOptions build;
  bool lenient = false;  // unknown keys are warnings
  // AlexeyAB's CPU build never clears the gradients that reach a [route] or an [upsample]: they pile up from
  // one mini-batch to the next. His GPU builds clear them, and so do we; this is for comparing with the
  // former.
  bool uncleared_gradients = false;
  bool keep_all = false;  // every layer's output stays readable after forward (for dumps)
};

constexpr int kInput = -1;  // the input of the network, where the index of a layer is expected

struct Node {
  const LayerType* type = nullptr;
  Section section;
  std::unique_ptr<Layer> layer;
  std::vector<int> inputs;  // indexes of layers, or kInput
  Shape output;
  Type output_type = Type::f32;
  bool read_by_losses = false;  // by heads and losses alone

  // Keys that all sections share.
  std::string name;
  float rate = 1;  // factor of the learning rate
  bool stop_backward = false, only_forward = false, dont_load = false, dont_load_scales = false;

  std::vector<bool> zeroes_before_backward;  // for each input: its gradient must start as zeros

  bool trains = true;  // gets gradients: a loss can be reached from it, and something at or before it learns
  int absorbed_by = -1;  // the convolution that does this layer's work, in a network that never trains
};

// The keys that every section has, for reading and for the documentation.
void common_keys(Keys& keys, Node& node);

class Network {
 public:
  // Builds the layers and the parameters; plan() must follow. Throws Error with file:line of what is wrong.
  explicit Network(std::vector<Section> sections, NetworkOptions options = {});

  // Shapes and memory for mini-batches of this size. May be called again with another size: the parameters
  // stay, and memory only grows, so the largest size should come first.
  void plan(int batch, int width, int height);
  // In a network that never trains: fold and pack the parameters. To be called after they have changed.
  void prepare();

  void forward();
  void backward();  // adds to the gradients of the parameters

  // What the layers that have a loss told of the forward passes since the last clear_losses().
  void clear_losses();
  LossReport loss(int layer) const;

  // Runs forward once more and returns the first layer whose output holds a NaN or an infinity, or -1.
  int first_not_finite();

  Tensor input() const { return input_; }           // [N,H,W,C], RGB, 0..1; to be filled before forward
  const Truths& truths() const { return truths_; }  // to be filled before forward in training
  int truth_capacity() const { return truth_capacity_; }
  View<float> targets() const { return targets_; }  // of a classifier; empty if there is no such layer
  Step& step() { return step_; }

  const NetSection& net() const { return net_; }
  const std::vector<Node>& nodes() const { return nodes_; }
  std::vector<Node>& nodes() { return nodes_; }
  std::vector<Head*> heads() const;
  Parameters& parameters() { return parameters_; }
  const Parameters& parameters() const { return parameters_; }
  const MemoryPlan& memory() const { return memory_; }
  bool training() const { return options_.build.training; }

  // "12 [convolutional], yolo.cfg:96" for messages.
  std::string where(int layer) const;

 private:
  int resolve(int layer, const std::string& reference) const;
  bool absorb_sums();
  void mark_trained();
  std::vector<Plan> plan_layers(int batch, int width, int height);
  void bind(std::vector<Plan>& plans);
  void add_parameters(const std::vector<Plan>& plans);

  NetworkOptions options_;
  NetSection net_;
  std::vector<Node> nodes_;
  Parameters parameters_;
  MemoryPlan memory_;
  Arena arena_{"the plan of the network's memory"}, lasting_{"the network's lasting memory"};
  Stream stream_;
  Tensor input_;
  Truths truths_;
  int truth_capacity_ = 0;
  View<float> targets_;
  LossReport* losses_ = nullptr;  // one for each layer
  Step step_;
};

}  // namespace osprey
