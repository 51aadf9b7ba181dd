// The network's plan: shapes, types, and where in memory everything of a step lies.
#include <algorithm>
#include <cassert>
#include <cstring>
#include <limits>

#include "core/lifetimes.h"
#include "core/parallel.h"
#include "models/network.h"

namespace osprey {

// trains: a loss can be reached from it; whether something learns there is found while planning.
void Network::mark_trained() {
  std::vector<bool> reaches_loss(nodes_.size(), false);
  for (int i = int(nodes_.size()) - 1; i >= 0; --i) {
    Node& node = nodes_[i];
    if (node.layer->has_loss()) reaches_loss[i] = true;
    node.trains = reaches_loss[i] && !node.only_forward;
    if (!node.trains) continue;
    for (int from : node.inputs)
      if (from >= 0) reaches_loss[from] = true;
  }
  for (int i = 0; i <= freezing_.last_stop; ++i) nodes_[i].trains = false;
}

namespace {

bool detects_or_loses(const Node& node) { return node.layer->head() || node.layer->has_loss(); }

}  // namespace

// What only heads and losses read stays in f32 under every precision, and so does what nobody reads.
void Network::mark_read_by_losses() {
  for (Node& node : nodes_) node.read_by_losses = node.layer->converts() || node.layer->passes_type_on();
  for (auto node = nodes_.rbegin(); node != nodes_.rend(); ++node) {  // a layer's readers come after it
    const bool wants_f32 = detects_or_loses(*node) || (node->layer->passes_type_on() && node->read_by_losses);
    for (int from : node->inputs)
      if (from >= 0 && !wants_f32) nodes_[size_t(from)].read_by_losses = false;
  }
}

BuildOptions Network::options_of(size_t layer, Shape input) const {
  BuildOptions build = options_.build;
  build.network_input = input;
  build.frozen = training() && (!learns() || freezing_.layers[layer] == Frozen::all);
  return build;
}

// On the CPU a tensor is in bf16 where the layer that makes it and all that read it can have it so. Layers
// between tensors of one type hand on that one of them cannot, until nothing changes any more.
void Network::mark_bf16() {
  std::vector<bool> takes(nodes_.size());
  const std::vector<int> readers = readers_of_each();
  for (size_t i = 0; i < nodes_.size(); ++i) {
    Node& node = nodes_[i];
    const BuildOptions build = options_of(i, {});
    takes[i] = build.bf16_products && (node.absorbed_by >= 0 || node.layer->takes_bf16(build));
    node.in_bf16 = takes[i] && readers[i] > 0 && (node.absorbed_by >= 0 || node.layer->makes_bf16(build));
  }
  for (size_t i = 0; i < nodes_.size(); ++i)
    if (nodes_[i].chained_to >= 0) takes[i] = takes[size_t(nodes_[i].chained_to)] = false;
  bool changed = true;
  const auto refuse = [&](int layer) {
    if (layer < 0 || !nodes_[size_t(layer)].in_bf16) return;
    nodes_[size_t(layer)].in_bf16 = false;
    changed = true;
  };
  while (changed) {
    changed = false;
    for (size_t i = 0; i < nodes_.size(); ++i) {
      const Node& node = nodes_[i];
      if (!takes[i]) refuse(int(i));
      for (size_t k = 0; k < node.inputs.size(); ++k) {
        const int from = node.inputs[k];
        if (!takes[i]) refuse(from);
        const bool free = node.layer->converts() && node.absorbed_by < 0 && k == 0;
        if (free) continue;  // not so a sum that a convolution has absorbed, which is its second input
        if (from < 0 || !nodes_[size_t(from)].in_bf16) refuse(int(i));
        if (!node.in_bf16) refuse(from);
      }
    }
  }
}

std::vector<Plan> Network::plan_layers(int batch, int width, int height) {
  const Shape input{batch, height, width, net_.channels};
  if (double(batch) * height * width * net_.channels >= double(std::numeric_limits<int>::max()))
    fail("{}: [net] asks for an input of {}: 2^31 values are too many", nodes_[0].section.file, input.text());
  mark_trained();
  mark_read_by_losses();
  mark_bf16();
  std::vector<Plan> plans;
  plans.reserve(nodes_.size());
  for (Node& node : nodes_) {
    std::vector<Plan::Input> inputs;
    bool needs_dx = false;
    for (int from : node.inputs) {
      if (from < 0)
        inputs.push_back({input, options_.build.precision});
      else
        inputs.push_back({PitchedShape(nodes_[from].output, pitch_of(from)), nodes_[from].output_type});
      needs_dx |= from >= 0 && nodes_[from].trains;
    }
    const Type wanted = node.in_bf16          ? Type::bf16
                        : node.read_by_losses ? Type::f32
                                              : options_.build.precision;
    const int pitch = pitch_of(int(plans.size()));
    plans.emplace_back(node.section, inputs, options_of(plans.size(), input), needs_dx, wanted, pitch);
    Plan& plan = plans.back();
    if (node.absorbed_by >= 0)
      plan.output(inputs[0].shape), plan.alias();
    else
      node.layer->plan(plan);
    node.output = plan.output_;
    node.alias = plan.alias_ >= 0 ? node.inputs[size_t(plan.alias_)] : -1;
    node.output_type = plan.output_type_;
    node.packs_parameters = plan.packs_parameters_;
    for (const Plan::Input& from : inputs)
      if (detects_or_loses(node) && from.type != Type::f32)
        node.section.fail(node.section.line,
                          "precision=bf16 needs a [convolutional], [connected] or [avgpool] right before it");
    bool learns = false;
    for (const Plan::ParameterWant& want : plan.parameters_)
      learns |= want.gradient && rate_of(plan, node.owner, want.info) > 0;
    node.trains = this->learns() && node.trains && (needs_dx || learns);
  }
  return plans;
}

// A layer that shares parameters wants the very ones of their owner.
void Network::check_shared(const std::vector<Plan>& plans, int layer) const {
  const Node& node = nodes_[layer];
  const auto &here = plans[layer].parameters_, &there = plans[node.owner].parameters_;
  const auto require = [&](bool good, const std::string& why) {
    if (!good)
      node.section.fail(node.section.line_of("share"),
                        fmt::format("the parameters of `{}` do not fit: {}", node.share, why));
  };
  require(!here.empty(), fmt::format("[{}] has none", node.type->name));
  require(here.size() == there.size(), "one of the two has batch norm, and the other has not");
  for (size_t k = 0; k < here.size(); ++k) {
    require(here[k].shape == there[k].shape, fmt::format("its {} are {}, and {} here", there[k].info.name,
                                                         there[k].shape.text(), here[k].shape.text()));
    require(
        bool(here[k].gradient) == bool(there[k].gradient) && here[k].info.flipped == there[k].info.flipped,
        fmt::format("its {} differ in a key such as frozen or flipped", there[k].info.name));
  }
}

void Network::add_parameters(const std::vector<Plan>& plans) {
  const bool first_time = parameters_.spans().empty();
  if (streams()) parameters_.take_turns();
  std::vector<bool> trains(nodes_.size(), false);  // by owner: somewhere gradients reach the parameters
  for (const Node& node : nodes_)
    if (node.trains || !training()) trains[node.owner] = true;
  for (size_t i = 0; i < nodes_.size(); ++i) {
    Node& node = nodes_[i];
    if (node.owner != int(i)) {
      check_shared(plans, int(i));
      node.first_span = nodes_[node.owner].first_span;
      continue;
    }
    if (first_time) node.first_span = int(parameters_.spans().size());
    int span = node.first_span;
    const Shape input = plans[i].inputs() > 0 ? Shape(plans[i].input()) : Shape();
    for (const Plan::ParameterWant& want : plans[i].parameters_) {
      if (first_time)
        parameters_.add({fmt::format("{}.{}", i, want.info.name), int(i), want.shape, input, want.info, 0});
      ParameterSpan& own = parameters_.spans()[span++];
      if (own.shape != want.shape)
        node.section.fail(node.section.line,
                          "its weights depend on the size of the input, which therefore cannot change "
                          "(random=1, or another --size)");
      own.rate = trains[i] ? rate_of(plans[i], int(i), want.info) : 0.0f;
    }
  }
  if (first_time) parameters_.allocate(learns(), stream_, options_.build.precision);
}

bool Network::may_pass_in_groups() const {
  return !training() && stream_.device == Device::cpu && !options_.keep_all && !streams() &&
         !takes_proposals();
}

// The least divisor of the mini-batch that makes the largest step of a pass as large as caches are, and gives
// each thread an image; all of it where most weights would be read for few pixels.
int Network::images_of_pass(int batch, const std::vector<Plan>& of_one) const {
  constexpr size_t kBytes = size_t(2) << 20;
  constexpr int kFewPixels = 32;  // memory brings the weights no faster than they are multiplied with so many
  size_t largest = 1, weights = 0, for_few = 0;
  for (size_t i = 0; i < nodes_.size(); ++i) {
    const Shape out = nodes_[i].output;
    size_t bytes = size_t(out.elements()) * bytes_of(nodes_[i].output_type);
    for (const Plan::Input& from : of_one[i].inputs_)
      bytes += size_t(from.shape.elements()) * bytes_of(from.type);
    largest = std::max(largest, bytes);
    for (const Plan::ParameterWant& want : of_one[i].parameters_) {
      weights += size_t(want.shape.elements());
      if (out.rows() < kFewPixels) for_few += size_t(want.shape.elements());
    }
  }
  if (for_few > weights / 4) return batch;
  const size_t least = std::max((kBytes + largest - 1) / largest, size_t(threads()));
  for (int together = 1; together < batch; ++together)
    if (batch % together == 0 && size_t(together) >= least) return together;
  return batch;
}

bool Network::is_read(size_t layer) const {
  return detects_or_loses(nodes_[layer]) || layer + 1 == nodes_.size();
}

void Network::plan(int batch, int width, int height) {
  const bool first_time = nodes_.back().output.elements() == 0;
  int together = batch;
  if (batch > 1 && may_pass_in_groups())
    together = options_.images_together ? options_.images_together
                                        : images_of_pass(batch, plan_layers(1, width, height));
  assert(batch % together == 0);
  passes_ = batch / together;
  std::vector<Plan> plans = plan_layers(together, width, height);
  // Only now is it known which sums are of equal shapes, and how convolutions are computed.
  if (first_time && !training() && !options_.keep_all) {
    const bool sums = absorb_sums(), pools = absorb_pools(),
               chains = !streams() && chain_convolutions(),  // which need all their weights at once
        slices = device() == Device::cpu && cut_slices();
    if (sums || pools || chains || slices) plans = plan_layers(together, width, height);
  }
  add_parameters(plans);
  if (streams())
    for (Plan& plan : plans)
      for (Plan::Want& want : plan.wants_)
        if (want.life == Plan::Life::lasting && !want.zeroed) want.life = Plan::Life::scratch;  // packed anew

  std::vector<LayerMemory> memory(nodes_.size());
  for (size_t i = 0; i < nodes_.size(); ++i) {
    const Plan& plan = plans[i];
    LayerMemory& m = memory[i];
    m.inputs = nodes_[i].inputs;
    if (nodes_[i].chained_to < 0) m.output = plan.output_;
    m.type = nodes_[i].output_type;
    m.differentiable = nodes_[i].trains;
    m.is_head = is_read(i);
    m.backward_reads = plan.backward_reads_;
    m.backward_reads_output = plan.backward_reads_output_;
    m.in_place = plan.in_place_;
    const std::string type = nodes_[i].type->name;
    m.lasting_gradient = options_.uncleared_gradients && (type == "route" || type == "upsample");
    m.alias = plan.alias_;
    m.slice_of = nodes_[i].slice.of;
    m.slice_at = size_t(nodes_[i].slice.first) * bytes_of(nodes_[i].output_type);
    for (const Plan::Want& want : plan.wants_) {
      const size_t bytes = size_t(want.shape.elements()) * bytes_of(want.type);
      if (want.life == Plan::Life::keep) m.kept.push_back(bytes);
      if (want.life == Plan::Life::scratch) m.scratch += (bytes + kAlignment - 1) / kAlignment * kAlignment;
    }
  }
  const Tensor input(nullptr, {together, height, width, net_.channels}, options_.build.precision);
  memory_ = plan_memory(memory, input, training(), options_.keep_all);
  memory_.parameters = parameters_.size() * sizeof(float) * (learns() ? 3 : 1);
  if (!arena_)
    arena_ = std::make_unique<Arena>("the plan of the network's memory", memory_of(stream_.device));
  arena_->reserve(memory_.bytes);
#ifdef OSPREY_CHECK_BOUNDS
  if (stream_.device == Device::cpu)
    std::memset(arena_->data(), 0xFF, memory_.bytes);  // NaN: what is read before it is written shows
#endif
  input_ = Tensor(arena_->data() + memory_.buffers[memory_.input].offset, input.shape, input.type);
  for (size_t i = 0; i < nodes_.size(); ++i)
    if (memory[i].lasting_gradient && memory_.gradients[i] >= 0) {
      const MemoryPlan::Buffer& b = memory_.buffers[memory_.gradients[i]];
      fill_zero(arena_->data() + b.offset, b.life.bytes);
    }
  bind(plans);
  ++plan_number_;
}

namespace {

// Places one after another, each aligned.
class Places {
 public:
  size_t take(size_t bytes) {
    const size_t offset = bytes_;
    bytes_ += (bytes + kAlignment - 1) / kAlignment * kAlignment;
    return offset;
  }
  size_t bytes() const { return bytes_; }

 private:
  size_t bytes_ = 0;
};

}  // namespace

// What layers asked to have for the life of the network, and the tables they gave.
void Network::bind_lasting(const std::vector<Plan>& plans) {
  Places places;
  std::vector<std::pair<const Plan::Want*, size_t>> wants;
  std::vector<std::pair<const Plan::Constant*, size_t>> constants;
  for (const Plan& plan : plans) {
    for (const Plan::Want& want : plan.wants_)
      if (want.life == Plan::Life::lasting)
        wants.push_back({&want, places.take(size_t(want.shape.elements()) * bytes_of(want.type))});
    for (const Plan::Constant& constant : plan.constants_)
      constants.push_back({&constant, places.take(constant.bytes.size())});
  }
  lasting_.allocate(stream_, places.bytes(), false);
  for (const auto& [want, offset] : wants) {
    if (want->zeroed)
      fill_zero(lasting_.device() + offset, size_t(want->shape.elements()) * bytes_of(want->type));
    want->bind(lasting_.device() + offset);
  }
  for (const auto& [constant, offset] : constants) {
    std::copy(constant->bytes.begin(), constant->bytes.end(), lasting_.host() + offset);
    lasting_.upload(offset, constant->bytes.size());
    constant->bind(lasting_.device() + offset);
  }
  memory_.lasting = places.bytes();
}

// What a step reads beside the images, and what the losses tell: shared by all layers that want it.
void Network::bind_feed(const std::vector<Plan>& plans) {
  Shape targets;
  truth_capacity_ = 0;
  int proposal_capacity = 0;
  for (const Plan& plan : plans) {
    proposal_capacity = std::max(proposal_capacity, plan.proposal_capacity_);
    // Of several heads the least: all of them read the same list.
    if (plan.truths_)
      truth_capacity_ =
          truth_capacity_ ? std::min(truth_capacity_, plan.truth_capacity_) : plan.truth_capacity_;
    if (plan.targets_) targets = plan.targets_shape_;
  }
  Shape input = input_.shape;
  input.n *= passes_;
  const Shape boxes{input.n, 1, truth_capacity_, 5}, counts{input.n, 1, 1, 1};
  const Shape proposed{input.n, 1, proposal_capacity, 5};
  const Step before = feed_.host() ? step() : Step();
  Places places;
  places.take(sizeof(Step));  // first, where step() finds it
  const size_t boxes_at = places.take(size_t(boxes.elements()) * sizeof(float));
  const size_t counts_at = places.take(size_t(counts.elements()) * sizeof(int));
  const size_t proposals_at = places.take(size_t(proposed.elements()) * sizeof(float));
  const size_t proposal_counts_at = places.take(size_t(counts.elements()) * sizeof(int));
  const size_t targets_at = places.take(size_t(targets.elements()) * sizeof(float));
  feed_.allocate(stream_, places.bytes());
  reports_.allocate(stream_, nodes_.size() * sizeof(LossReport));
  const auto truths_in = [&](char* memory) {
    return Truths{{reinterpret_cast<float*>(memory + boxes_at), boxes},
                  {reinterpret_cast<int*>(memory + counts_at), counts}};
  };
  const auto proposals_in = [&](char* memory) {
    return Proposals{{reinterpret_cast<float*>(memory + proposals_at), proposed},
                     {reinterpret_cast<int*>(memory + proposal_counts_at), counts}};
  };
  const auto targets_in = [&](char* memory) {
    return targets.elements() ? View<float>(reinterpret_cast<float*>(memory + targets_at), targets)
                              : View<float>();
  };
  truths_ = truths_in(feed_.host());
  targets_ = targets_in(feed_.host());
  proposals_ = proposal_capacity > 0 ? proposals_in(feed_.host()) : Proposals();
  step() = before;
  fed_input_ = input_;
  if (has_images()) {
    images_.allocate(stream_, size_t(input.elements()) * sizeof(float));
    fed_input_ = Tensor(images_.host(), input);
  }
  memory_.lasting += feed_.bytes() + reports_.bytes() + images_.bytes();
  gathered_.assign(nodes_.size(), {});
  for (size_t i = 0; i < nodes_.size(); ++i)
    if (passes_ > 1 && is_read(i)) {
      gathered_[i].resize(size_t(output(int(i)).elements()) * bytes_of(nodes_[i].output_type));
      memory_.lasting += gathered_[i].size();
    }
  for (size_t i = 0; i < plans.size(); ++i) {
    const Plan& plan = plans[i];
    if (plan.truths_) *plan.truths_ = truths_in(feed_.device());
    if (plan.targets_) *plan.targets_ = targets_in(feed_.device());
    if (plan.proposals_) *plan.proposals_ = proposals_in(feed_.device());
    if (plan.step_) *plan.step_ = reinterpret_cast<const Step*>(feed_.device());
    if (plan.loss_) *plan.loss_ = reinterpret_cast<LossReport*>(reports_.device()) + i;
  }
}

void Network::bind(std::vector<Plan>& plans) {
  auto at = [&](int buffer) { return arena_->data() + memory_.buffers[buffer].offset; };
  bind_lasting(plans);
  bind_feed(plans);
  for (size_t i = 0; i < nodes_.size(); ++i) {
    Plan& plan = plans[i];
    Layer& layer = *nodes_[i].layer;
    int span = nodes_[i].first_span;
    size_t kept = 0, scratch = 0;
    for (const Plan::Want& want : plan.wants_) {
      const size_t bytes = size_t(want.shape.elements()) * bytes_of(want.type);
      if (want.life == Plan::Life::keep) want.bind(at(memory_.kept[i][kept++]));
      if (want.life == Plan::Life::scratch) {
        want.bind(at(memory_.scratch) + scratch);
        scratch += (bytes + kAlignment - 1) / kAlignment * kAlignment;
      }
    }
    for (const Plan::ParameterWant& want : plan.parameters_) {
      const ParameterSpan& s = parameters_.spans()[span++];
      *want.value = parameters_.device_value(s);
      if (want.gradient && learns()) *want.gradient = parameters_.device_gradient(s);
      if (want.copy) *want.copy = parameters_.device_copy(s);
    }

    layer.inputs.clear();
    layer.input_gradients.clear();
    layer.input_writes.clear();
    for (size_t k = 0; k < nodes_[i].inputs.size(); ++k) {
      const int from = nodes_[i].inputs[k];
      layer.inputs.push_back(from < 0 ? input_ : nodes_[from].layer->y);
      const int gradient = training() && from >= 0 && nodes_[i].trains ? memory_.gradients[from] : -1;
      layer.input_gradients.push_back(
          gradient < 0 ? Tensor() : Tensor(at(gradient), nodes_[from].output, nodes_[from].output_type));
      const bool first = gradient >= 0 && memory_.first_writer[i][k];
      nodes_[i].zeroes_before_backward.resize(nodes_[i].inputs.size());
      nodes_[i].zeroes_before_backward[k] = first && !plan.obeys_writes_;
      layer.input_writes.push_back(first && plan.obeys_writes_ ? Write::overwrite : Write::add);
    }
    layer.y = Tensor(at(memory_.outputs[i]) + memory_.output_offsets[i],
                     PitchedShape(nodes_[i].output, pitch_of(int(i))), nodes_[i].output_type);
    const int gradient = training() ? memory_.gradients[i] : -1;
    layer.dy = gradient < 0 ? Tensor() : Tensor(at(gradient), nodes_[i].output, nodes_[i].output_type);
  }
}

}  // namespace osprey
