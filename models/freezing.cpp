// Which layers stay as they are in an iteration of training.
#include <algorithm>

#include "models/network.h"

namespace osprey {

// The reference is AlexeyAB's: a layer is trained where dont_update < iteration, and stopbackward above 1
// stops where it is above the iteration. There a layer that is not updated goes on to move its batch norm's
// statistics; here nothing of it moves.
Freezing Network::freezing_at(int64_t iteration) const {
  Freezing freezing;
  int last_only_bn = -1;
  for (size_t i = 0; i < nodes_.size(); ++i) {
    if (nodes_[i].stop_backward == 1 || iteration < nodes_[i].stop_backward) freezing.last_stop = int(i);
    if (nodes_[i].train_only_bn) last_only_bn = int(i);
  }
  // Parameters that several layers use change where one of these would change them.
  freezing.layers.assign(nodes_.size(), Frozen::all);
  for (size_t i = 0; i < nodes_.size(); ++i) {
    const Node& node = nodes_[i];
    const bool held = int(i) <= freezing.last_stop || node.freeze || iteration <= node.dont_update ||
                      iteration < node.burnin_update * net_.burn_in;
    const Frozen own = held ? Frozen::all : int(i) <= last_only_bn ? Frozen::weights : Frozen::nothing;
    Frozen& of_owner = freezing.layers[size_t(node.owner)];
    of_owner = std::min(of_owner, own);
  }
  for (size_t i = 0; i < nodes_.size(); ++i) freezing.layers[i] = freezing.layers[size_t(nodes_[i].owner)];
  return freezing;
}

bool Network::freeze_for(int64_t iteration) {
  Freezing freezing = freezing_at(iteration);
  if (freezing == freezing_) return false;
  freezing_ = std::move(freezing);
  return true;
}

// The factor of the learning rate of one of a layer's parameters; 0 where it is frozen.
float Network::rate_of(const Plan& plan, int layer, const ParameterInfo& info) const {
  const Frozen frozen = freezing_.layers[size_t(layer)];
  const auto& parameters = plan.parameters_;
  const bool normalises = std::any_of(parameters.begin(), parameters.end(),
                                      [](const Plan::ParameterWant& want) { return want.info.batch_scale; });
  const bool trained =
      frozen == Frozen::nothing || (frozen == Frozen::weights && normalises && info.role == Role::offset);
  return trained ? nodes_[size_t(layer)].rate : 0.0f;
}

int Network::trained_layers() const {
  std::vector<bool> trained(nodes_.size(), false);
  for (const ParameterSpan& span : parameters_.spans())
    if (span.info.role != Role::statistic && span.rate > 0) trained[size_t(span.layer)] = true;
  return int(std::count(trained.begin(), trained.end(), true));
}

}  // namespace osprey
