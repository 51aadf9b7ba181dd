#include "models/pytorch.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <climits>
#include <cmath>
#include <map>
#include <tuple>

#include "core/npz.h"
#include "models/safetensors.h"
#include "models/weights.h"

namespace osprey {
namespace {

std::string joined(const std::vector<int>& shape) { return fmt::format("{}", fmt::join(shape, "x")); }

// The arrays of one module, by the last part of their names.
struct Module {
  std::string name;
  std::map<std::string, const NamedArray*> arrays;

  const NamedArray* find(const char* array) const {
    const auto found = arrays.find(array);
    return found == arrays.end() ? nullptr : found->second;
  }
  bool is_norm() const { return find("running_mean") != nullptr; }
};

std::vector<std::string> parts_of(const std::string& name) {
  std::vector<std::string> parts(1);
  for (char c : name)
    if (c == '.')
      parts.emplace_back();
    else
      parts.back() += c;
  return parts;
}

// The order in which modules run, as far as their names tell it: numbers count, `downsample` (also called
// `shortcut`) comes after the convolutions of its block, and classifiers come last.
using Place = std::vector<std::tuple<int, std::string, int>>;

Place place_of(const std::string& module) {
  Place place;
  for (const std::string& part : parts_of(module)) {
    size_t digits = part.size();
    while (digits > 0 && std::isdigit(static_cast<unsigned char>(part[digits - 1]))) --digits;
    const std::string word = part.substr(0, digits);
    const int number = digits == part.size() ? 0 : int(std::strtol(part.c_str() + digits, nullptr, 10));
    const int rank = word == "fc" || word == "linear" || word == "classifier" || word == "head" ? 3
                     : word == "downsample" || word == "shortcut"                               ? 2
                     : word == "conv"                                                           ? 0
                                                                                                : 1;
    place.push_back({rank, word, number});
  }
  return place;
}

// bn1 for conv1, and the next of a sequence for a number.
std::string norm_of(const std::string& module) {
  const size_t dot = module.rfind('.');
  const std::string before = dot == std::string::npos ? "" : module.substr(0, dot + 1);
  const std::string last = module.substr(before.size());
  if (last.starts_with("conv")) return before + "bn" + last.substr(4);
  int number = 0;
  const auto [end, error] = std::from_chars(last.data(), last.data() + last.size(), number);
  if (error != std::errc() || end != last.data() + last.size() || number < 0 || number == INT_MAX) return "";
  return before + std::to_string(number + 1);
}

std::map<std::string, Module> modules_of(const std::vector<NamedArray>& arrays, const std::string& file) {
  std::map<std::string, Module> modules;
  for (const NamedArray& array : arrays) {
    const size_t dot = array.name.rfind('.');
    const std::string last = dot == std::string::npos ? array.name : array.name.substr(dot + 1);
    if (last == "num_batches_tracked") continue;
    if (dot == std::string::npos ||
        (last != "weight" && last != "bias" && last != "running_mean" && last != "running_var"))
      fail("{}: `{}` is no weight, bias, running_mean or running_var of a module", file, array.name);
    Module& module = modules[array.name.substr(0, dot)];
    module.name = array.name.substr(0, dot);
    module.arrays[last] = &array;
  }
  for (const auto& [name, module] : modules)
    if (!module.find("weight")) fail("{}: `{}` has no weight", file, name);
  return modules;
}

// One layer of the network, and the module that fills it.
class Filling {
 public:
  Filling(Network& network, int layer, const Module& module, const Module* norm, const std::string& file)
      : network_(network), layer_(layer), module_(module), norm_(norm), file_(file) {}

  void run() {
    const bool ours = span("rolling_mean");
    if (ours != bool(norm_))
      fail("{}: `{}` {} batch norm, but {} {}", file_, module_.name, norm_ ? "has" : "has no",
           network_.where(layer_), ours ? "has" : "has not");
    take("weights", module_, "weight");
    const Shape channels = span("biases")->shape;
    if (!norm_) {
      if (module_.find("bias"))
        take("biases", module_, "bias");
      else
        set_values(network_, *span("biases"), std::vector<float>(size_t(channels.elements()), 0));
      return;
    }
    take("scales", *norm_, "weight");
    take("biases", *norm_, "bias");
    take("rolling_variance", *norm_, "running_var");
    take("rolling_mean", *norm_, "running_mean");
    if (!module_.find("bias")) return;
    // Ours has no bias before batch norm, which subtracts the mean anyway.
    std::vector<float> mean = norm_->find("running_mean")->values;
    const std::vector<float> bias = checked("rolling_mean", module_, "bias").values;
    for (size_t i = 0; i < mean.size(); ++i) mean[i] -= bias[i];
    set_values(network_, *span("rolling_mean"), mean);
  }

 private:
  const ParameterSpan* span(const std::string& name) const {
    for (const ParameterSpan& s : network_.parameters().spans())
      if (s.layer == layer_ && s.info.name == name) return &s;
    return nullptr;
  }

  const NamedArray& checked(const char* parameter, const Module& module, const char* array) const {
    const NamedArray* found = module.find(array);
    if (!found) fail("{}: `{}` has no {}", file_, module.name, array);
    const ParameterSpan& s = *span(parameter);
    std::vector<int> want = {s.shape.c};
    if (s.info.order == FileOrder::convolution) want = {s.shape.n, s.shape.c, s.shape.h, s.shape.w};
    if (s.info.order == FileOrder::flattened_input) want = {s.shape.n, s.shape.h * s.shape.w * s.shape.c};
    if (found->shape != want)
      fail("{}: `{}` is {}, expected {} for {}", file_, found->name, joined(found->shape), joined(want),
           network_.where(layer_));
    for (float value : found->values)
      if (!std::isfinite(value)) fail("{}: `{}` holds values that are not finite", file_, found->name);
    return *found;
  }

  void take(const char* parameter, const Module& module, const char* array) const {
    set_values(network_, *span(parameter), checked(parameter, module, array).values);
  }

  Network& network_;
  int layer_;
  const Module& module_;
  const Module* norm_;
  const std::string& file_;
};

// The layers that serve an [rpn] alone: they may stand amid a backbone, as in "C4" networks, and its files
// have nothing for them.
std::vector<bool> only_propose(const Network& network) {
  const auto& nodes = network.nodes();
  std::vector<bool> has_readers(nodes.size(), false), proposes(nodes.size(), true);
  for (size_t i = nodes.size(); i-- > 0;) {
    const bool rpn = has_readers[i] && std::string(nodes[i].type->name) == "rpn";
    proposes[i] = has_readers[i] && proposes[i];
    for (const int input : nodes[i].inputs) {
      if (input < 0) continue;
      has_readers[size_t(input)] = true;
      if (!rpn && !proposes[i]) proposes[size_t(input)] = false;
    }
  }
  return proposes;
}

}  // namespace

std::vector<NamedArray> read_named_arrays(const std::string& path) {
  std::vector<NamedArray> arrays;
  if (path.ends_with(".npz")) {
    for (auto& [name, array] : read_npz(path)) arrays.push_back({name, array.shape, array.floats()});
  } else if (path.ends_with(".safetensors")) {
    for (auto& [name, tensor] : read_safetensors(path).tensors)
      arrays.push_back({name, {tensor.shape.begin(), tensor.shape.end()}, std::move(tensor.values)});
  } else {
    fail("{}: expected a .safetensors or an .npz file", path);
  }
  return arrays;
}

int take_named_arrays(Network& network, const std::vector<NamedArray>& arrays, const std::string& file) {
  const std::map<std::string, Module> modules = modules_of(arrays, file);
  std::vector<const Module*> multiply;  // convolutions and fully connected layers
  for (const auto& [name, module] : modules)
    if (module.find("weight")->shape.size() > 1) multiply.push_back(&module);
  std::sort(multiply.begin(), multiply.end(),
            [](const Module* a, const Module* b) { return place_of(a->name) < place_of(b->name); });

  const std::vector<bool> passed = only_propose(network);
  size_t taken = 0, norms = 0;
  int reached = int(network.nodes().size());
  for (int layer = 0; layer < int(network.nodes().size()); ++layer) {
    const Node& node = network.nodes()[size_t(layer)];
    const std::string type = node.type->name;
    if (node.owner != layer || passed[size_t(layer)] || (type != "convolutional" && type != "connected"))
      continue;
    if (taken == multiply.size()) {
      reached = layer;
      break;
    }
    const Module& module = *multiply[taken++];
    const auto norm = modules.find(norm_of(module.name));
    const bool has_norm = norm != modules.end() && norm->second.is_norm();
    Filling(network, layer, module, has_norm ? &norm->second : nullptr, file).run();
    norms += has_norm;
  }
  if (taken < multiply.size())
    fail("{}: `{}` and what comes after it are more than the network has", file, multiply[taken]->name);
  for (const auto& [name, module] : modules)
    if (module.find("weight")->shape.size() <= 1 && !module.is_norm())
      fail("{}: `{}` is no convolution, no fully connected layer and no batch norm", file, name);
  if (taken + norms != modules.size())
    fail("{}: has {} batch norms, of which {} belong to no convolution by their names", file,
         modules.size() - taken, modules.size() - taken - norms);
  return reached;
}

}  // namespace osprey
