#include "models/network.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>

#include "core/log.h"

namespace osprey {

Network::Network(std::vector<Section> sections, NetworkOptions options) : options_(options) {
  if (sections.empty()) fail("the .cfg has no sections");
  net_ = read_net_section(sections[0], options.lenient);
  if (sections.size() == 1) sections[0].fail(sections[0].line, "no layer follows");
  std::vector<std::string> known;
  for (const LayerType* type : layer_types()) known.push_back(type->name);

  for (size_t s = 1; s < sections.size(); ++s) {
    nodes_.emplace_back();
    Node& node = nodes_.back();
    node.section = std::move(sections[s]);
    node.type = find_layer_type(node.section.name);
    if (!node.type) {
      const std::string why = why_unsupported(node.section.name);
      node.section.fail(node.section.line,
                        why.empty() ? "unknown section" + did_you_mean(node.section.name, known) : why);
    }
    node.layer = node.type->make();
    Keys keys(&node.section, options.lenient);
    common_keys(keys, node);
    node.layer->keys(keys);
    keys.finish();
    for (const std::string& reference : node.layer->sources())
      node.inputs.push_back(resolve(int(nodes_.size()) - 1, reference));
  }
}

void common_keys(Keys& keys, Node& node) {
  keys.text("name", node.name, "").help("a name by which other sections may refer to this layer");
  keys.texts("from", node.layer->from)
      .help("the layer or layers it reads: index, negative = relative, or name");
  keys.real("learning_rate", node.rate, 1).at_least(0).help("factor of the learning rate for this layer");
  keys.flag("stopbackward", node.stop_backward, false)
      .help("1: this layer and all before it are not trained");
  keys.flag("onlyforward", node.only_forward, false).help("1: no gradient passes this layer");
  keys.flag("dontload", node.dont_load, false).help("1: the .weights file has nothing for this layer");
  keys.flag("dontloadscales", node.dont_load_scales, false)
      .help("1: the .weights file has no batch-norm scales, means and variances for this layer");
}

int Network::resolve(int layer, const std::string& reference) const {
  const Section& section = nodes_[layer].section;
  const int line = section.line_of(section.find("layers") ? "layers" : "from");
  int index = 0;
  const auto [end, error] = std::from_chars(reference.data(), reference.data() + reference.size(), index);
  if (error != std::errc() || end != reference.data() + reference.size()) {
    std::vector<std::string> names;
    for (int i = 0; i < layer; ++i) {
      if (nodes_[i].name == reference) return i;
      if (!nodes_[i].name.empty()) names.push_back(nodes_[i].name);
    }
    section.fail(line, fmt::format("no layer before this one is named `{}`{}", reference,
                                   did_you_mean(reference, names)));
  }
  const int target = index < 0 ? layer + index : index;
  if (target == kInput && index == -1) return kInput;
  if (target < 0 || target >= layer)
    section.fail(
        line,
        fmt::format("`{}` refers to layer {}, but this is layer {}: only layers 0 to {} stand before it",
                    reference, target, layer, layer - 1));
  return target;
}

std::string Network::where(int layer) const {
  const Section& s = nodes_[layer].section;
  return fmt::format("layer {} [{}], {}:{}", layer, s.name, s.file, s.line);
}

std::vector<Head*> Network::heads() const {
  std::vector<Head*> heads;
  for (const Node& node : nodes_)
    if (Head* head = node.layer->head()) heads.push_back(head);
  return heads;
}

// An addition whose first summand is made by a convolution for it alone is done by that convolution, and the
// [shortcut] becomes another name for its output. True if there was any.
bool Network::absorb_sums() {
  bool any = false;
  std::vector<int> readers(nodes_.size(), 0);
  for (const Node& node : nodes_)
    for (int i : node.inputs)
      if (i >= 0) ++readers[i];
  for (size_t i = 0; i < nodes_.size(); ++i) {
    Node& sum = nodes_[i];
    const auto activation = sum.layer->plain_sum();
    if (!activation || sum.inputs.size() != 2) continue;
    const int producer = sum.inputs[0], other = sum.inputs[1];
    if (producer != int(i) - 1 || readers[producer] != 1 || other < 0 || other >= producer) continue;
    Node& convolution = nodes_[producer];
    if (convolution.inputs.size() != 1 || !convolution.layer->absorb_sum(*activation)) continue;
    convolution.inputs.push_back(other);
    sum.inputs = {producer};
    sum.absorbed_by = producer;
    any = true;
  }
  return any;
}

// trains: a loss can be reached from it; whether something learns there is found while planning.
void Network::mark_trained() {
  std::vector<bool> reaches_loss(nodes_.size(), false);
  int last_stop = -1;
  for (int i = int(nodes_.size()) - 1; i >= 0; --i) {
    Node& node = nodes_[i];
    if (node.layer->has_loss()) reaches_loss[i] = true;
    if (node.stop_backward) last_stop = std::max(last_stop, i);
    node.trains = reaches_loss[i] && !node.only_forward;
    if (!node.trains) continue;
    for (int from : node.inputs)
      if (from >= 0) reaches_loss[from] = true;
  }
  for (int i = 0; i <= last_stop; ++i) nodes_[i].trains = false;
}

std::vector<Plan> Network::plan_layers(int batch, int width, int height) {
  const Shape input{batch, height, width, net_.channels};
  options_.build.network_input = input;
  mark_trained();
  BuildOptions build = options_.build;
  build.network_input = input;
  std::vector<Plan> plans;
  plans.reserve(nodes_.size());
  for (Node& node : nodes_) {
    std::vector<Plan::Input> inputs;
    bool needs_dx = false;
    for (int from : node.inputs) {
      if (from < 0)
        inputs.push_back({input, build.precision});
      else
        inputs.push_back({nodes_[from].output, nodes_[from].output_type});
      needs_dx |= from >= 0 && nodes_[from].trains;
    }
    plans.emplace_back(node.section, inputs, build, needs_dx,
                       node.read_by_losses ? Type::f32 : build.precision);
    Plan& plan = plans.back();
    if (node.absorbed_by >= 0)
      plan.output(inputs[0].shape), plan.alias();
    else
      node.layer->plan(plan);
    node.output = plan.output_;
    node.output_type = plan.output_type_;
    bool learns = false;
    for (const Plan::ParameterWant& want : plan.parameters_) learns |= want.gradient && node.rate > 0;
    node.trains = training() && node.trains && (needs_dx || learns);
  }
  return plans;
}

void Network::add_parameters(const std::vector<Plan>& plans) {
  const bool first_time = parameters_.spans().empty();
  size_t k = 0;
  for (size_t i = 0; i < nodes_.size(); ++i)
    for (const Plan::ParameterWant& want : plans[i].parameters_) {
      if (first_time) {
        parameters_.add({fmt::format("{}.{}", i, want.info.name), int(i), want.shape, plans[i].input(),
                         want.info, 0, nodes_[i].trains || !training() ? nodes_[i].rate : 0.0f});
      } else if (parameters_.spans()[k++].shape != want.shape) {
        nodes_[i].section.fail(nodes_[i].section.line,
                               "its weights depend on the size of the input, which therefore "
                               "cannot change (random=1, or another --size)");
      }
    }
  if (first_time) parameters_.allocate(training());
}

void Network::plan(int batch, int width, int height) {
  const bool first_time = nodes_.back().output.elements() == 0;
  std::vector<Plan> plans = plan_layers(batch, width, height);
  // Only now is it known which sums are of equal shapes.
  if (first_time && !training() && !options_.keep_all && absorb_sums())
    plans = plan_layers(batch, width, height);
  add_parameters(plans);

  std::vector<LayerMemory> memory(nodes_.size());
  for (size_t i = 0; i < nodes_.size(); ++i) {
    const Plan& plan = plans[i];
    LayerMemory& m = memory[i];
    m.inputs = nodes_[i].inputs;
    m.output = plan.output_;
    m.differentiable = nodes_[i].trains;
    m.is_head = nodes_[i].layer->head() || nodes_[i].layer->has_loss() || i + 1 == nodes_.size();
    m.backward_reads = plan.backward_reads_;
    m.backward_reads_output = plan.backward_reads_output_;
    m.in_place = plan.in_place_;
    const std::string type = nodes_[i].type->name;
    m.lasting_gradient = options_.uncleared_gradients && (type == "route" || type == "upsample");
    m.alias = plan.alias_;
    for (const Plan::Want& want : plan.wants_) {
      const size_t bytes = size_t(want.shape.elements()) * bytes_of(want.type);
      if (want.life == Plan::Life::keep) m.kept.push_back(bytes);
      if (want.life == Plan::Life::scratch) m.scratch += (bytes + kAlignment - 1) / kAlignment * kAlignment;
    }
  }
  const Shape input{batch, height, width, net_.channels};
  memory_ = plan_memory(memory, input, training(), options_.keep_all);
  memory_.parameters = parameters_.size() * sizeof(float) * (training() ? 3 : 1);
  arena_.reserve(memory_.bytes);
#ifdef OSPREY_CHECK_BOUNDS
  std::memset(arena_.data(), 0xFF, memory_.bytes);  // NaN: what is read before it is written shows
#endif
  input_ = Tensor(arena_.data() + memory_.buffers[memory_.input].offset, input);
  for (size_t i = 0; i < nodes_.size(); ++i)
    if (memory[i].lasting_gradient && memory_.gradients[i] >= 0) {
      const MemoryPlan::Buffer& b = memory_.buffers[memory_.gradients[i]];
      std::memset(arena_.data() + b.offset, 0, b.life.bytes);
    }
  bind(plans);
}

void Network::bind(std::vector<Plan>& plans) {
  auto at = [&](int buffer) { return arena_.data() + memory_.buffers[buffer].offset; };
  // Lasting memory: what layers asked for, then the truths and targets that they share.
  struct Place {
    const Plan::Want* want;
    size_t offset;
  };
  std::vector<Place> places;
  size_t lasting = 0;
  auto take = [&](size_t bytes) {
    const size_t offset = lasting;
    lasting += (bytes + kAlignment - 1) / kAlignment * kAlignment;
    return offset;
  };
  Shape targets;
  truth_capacity_ = 0;
  std::vector<std::pair<const Plan::Constant*, size_t>> constants;
  for (const Plan& plan : plans) {
    for (const Plan::Constant& constant : plan.constants_)
      constants.push_back({&constant, take(constant.bytes.size())});
    for (const Plan::Want& want : plan.wants_)
      if (want.life == Plan::Life::lasting)
        places.push_back({&want, take(size_t(want.shape.elements()) * bytes_of(want.type))});
    truth_capacity_ = std::max(truth_capacity_, plan.truth_capacity_);
    if (plan.targets_) targets = plan.targets_shape_;
  }
  const int batch = input_.shape.n;
  const size_t boxes = take(size_t(batch) * truth_capacity_ * 5 * sizeof(float));
  const size_t counts = take(size_t(batch) * sizeof(int));
  const size_t target = take(size_t(targets.elements()) * sizeof(float));
  const size_t reports = take(nodes_.size() * sizeof(LossReport));
  lasting_.reserve(std::max(lasting, size_t(1)));
  std::memset(lasting_.data(), 0, lasting);
  memory_.lasting = lasting;
  for (const Place& place : places) place.want->bind(lasting_.data() + place.offset);
  for (const auto& [constant, offset] : constants) {
    std::memcpy(lasting_.data() + offset, constant->bytes.data(), constant->bytes.size());
    constant->bind(lasting_.data() + offset);
  }
  truths_ = {{reinterpret_cast<float*>(lasting_.data() + boxes), {batch, 1, truth_capacity_, 5}},
             {reinterpret_cast<int*>(lasting_.data() + counts), {batch, 1, 1, 1}}};
  targets_ = {};
  losses_ = reinterpret_cast<LossReport*>(lasting_.data() + reports);
  if (targets.elements()) targets_ = {reinterpret_cast<float*>(lasting_.data() + target), targets};

  size_t span = 0;
  for (size_t i = 0; i < nodes_.size(); ++i) {
    Plan& plan = plans[i];
    Layer& layer = *nodes_[i].layer;
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
      *want.value = parameters_.value(s);
      if (want.gradient && training()) *want.gradient = parameters_.gradient(s);
    }
    if (plan.truths_) *plan.truths_ = truths_;
    if (plan.targets_) *plan.targets_ = targets_;
    if (plan.step_) *plan.step_ = &step_;
    if (plan.loss_) *plan.loss_ = losses_ + i;

    layer.inputs.clear();
    layer.input_gradients.clear();
    layer.input_writes.clear();
    for (size_t k = 0; k < nodes_[i].inputs.size(); ++k) {
      const int from = nodes_[i].inputs[k];
      layer.inputs.push_back(from < 0 ? input_ : nodes_[from].layer->y);
      const int gradient = training() && from >= 0 && nodes_[i].trains ? memory_.gradients[from] : -1;
      layer.input_gradients.push_back(gradient < 0 ? Tensor() : Tensor(at(gradient), nodes_[from].output));
      const bool first = gradient >= 0 && memory_.first_writer[i][k];
      nodes_[i].zeroes_before_backward.resize(nodes_[i].inputs.size());
      nodes_[i].zeroes_before_backward[k] = first && !plan.obeys_writes_;
      layer.input_writes.push_back(first && plan.obeys_writes_ ? Write::overwrite : Write::add);
    }
    layer.y = Tensor(at(memory_.outputs[i]), nodes_[i].output);
    const int gradient = training() ? memory_.gradients[i] : -1;
    layer.dy = gradient < 0 ? Tensor() : Tensor(at(gradient), nodes_[i].output);
  }
}

void Network::prepare() {
  for (Node& node : nodes_)
    if (node.absorbed_by < 0) node.layer->prepare(stream_);
}

void Network::forward() {
  for (Node& node : nodes_)
    if (node.absorbed_by < 0) node.layer->forward(stream_);
}

int Network::first_not_finite() {
  for (size_t i = 0; i < nodes_.size(); ++i) {
    if (nodes_[i].absorbed_by >= 0) continue;
    nodes_[i].layer->forward(stream_);
    const View<const float> y = nodes_[i].layer->y;
    if (!std::all_of(y.begin(), y.end(), [](float v) { return std::isfinite(v); })) return int(i);
  }
  return -1;
}

void Network::clear_losses() { std::fill_n(losses_, nodes_.size(), LossReport{}); }

LossReport Network::loss(int layer) const { return losses_[layer]; }

void Network::backward() {
  for (int i = int(nodes_.size()) - 1; i >= 0; --i) {
    Node& node = nodes_[i];
    if (!node.trains) continue;
    for (size_t k = 0; k < node.inputs.size(); ++k)
      if (node.zeroes_before_backward[k]) {
        const Tensor dx = node.layer->dx(int(k));
        std::memset(dx.data, 0, size_t(dx.shape.elements()) * bytes_of(dx.type));
      }
    node.layer->backward(stream_);
  }
}

}  // namespace osprey
