#include "layers/onnx_graph.h"

#include <algorithm>

#include "cuda/channel_activation.h"

namespace osprey {
namespace {

std::vector<float> in_their_order(View<const float> values) {
  const Shape s = values.shape;
  std::vector<float> moved;
  moved.reserve(size_t(s.elements()));
  for (int n = 0; n < s.n; ++n)
    for (int c = 0; c < s.c; ++c)
      for (int h = 0; h < s.h; ++h)
        for (int w = 0; w < s.w; ++w) moved.push_back(values.data[s.index(n, h, w, c)]);
  return moved;
}

}  // namespace

OnnxGraph::OnnxGraph(int64_t batch, Shape input) : batch_(batch) {
  model_.inputs.push_back({"images", {batch, input.c, input.h, input.w}});
}

void OnnxGraph::begin(const std::string& layer, const Section& section, Names inputs) {
  layer_ = layer;
  section_ = &section;
  inputs_ = std::move(inputs);
  used_.clear();
}

void OnnxGraph::require(bool possible, const char* key, const std::string& why) const {
  if (!possible) section_->fail(section_->line_of(key), "cannot be exported to ONNX: " + why);
}

std::string OnnxGraph::finish(const std::string& value) {
  onnx::Node* last = model_.nodes.empty() ? nullptr : &model_.nodes.back();
  if (!last || last->outputs[0] != value || !last->name.starts_with(layer_ + "/")) return value;
  last->name = layer_;
  last->outputs = {layer_};
  return layer_;
}

void OnnxGraph::output(const std::string& name, const std::string& value, Sides sides) {
  model_.nodes.push_back({"Identity", name, {value}, {name}, {}});
  model_.outputs.push_back({name, std::move(sides)});
}

// "12_maxpool/Pad", and if there are more of them "12_maxpool/Pad_2".
std::string OnnxGraph::unique(const std::string& what) {
  const auto count = std::count(used_.begin(), used_.end(), what);
  used_.push_back(what);
  return count == 0 ? fmt::format("{}/{}", layer_, what) : fmt::format("{}/{}_{}", layer_, what, count + 1);
}

std::string OnnxGraph::add(const char* op, Names inputs, Attributes attributes) {
  const std::string name = unique(op);
  model_.nodes.push_back({op, name, std::move(inputs), {name}, std::move(attributes)});
  return name;
}

std::string OnnxGraph::constant(const char* what, Sides sides, std::vector<float> values) {
  model_.constants.push_back({unique(what), std::move(sides), std::move(values), {}});
  return model_.constants.back().name;
}

std::string OnnxGraph::number(float value) { return constant("number", {}, {value}); }

std::string OnnxGraph::integers(std::vector<int64_t> values) {
  const int64_t count = int64_t(values.size());
  model_.constants.push_back({unique("integers"), {count}, {}, std::move(values)});
  return model_.constants.back().name;
}

std::string OnnxGraph::per_channel(const char* what, View<const float> values) {
  return constant(what, {1, values.size(), 1, 1}, {values.begin(), values.end()});
}

std::string OnnxGraph::weights(View<const float> values) {
  const Shape s = values.shape;
  return constant("weights", {s.n, s.c, s.h, s.w}, in_their_order(values));
}
std::string OnnxGraph::weight_rows(View<const float> values) {
  const Shape s = values.shape;
  return constant("weights", {s.n, int64_t(s.c) * s.h * s.w}, in_their_order(values));
}
std::string OnnxGraph::scaled(const std::string& x, float factor) {
  return factor == 1 ? x : add("Mul", {x, number(factor)});
}
std::string OnnxGraph::shifted(const std::string& x, float offset) {
  return offset == 0 ? x : add("Add", {x, number(offset)});
}
std::string OnnxGraph::clipped(const std::string& x, float least, float most) {
  return add("Clip", {x, number(least), number(most)});
}
std::string OnnxGraph::reshaped(const std::string& x, Sides sides) {
  return add("Reshape", {x, integers(std::move(sides))});
}
std::string OnnxGraph::transposed(const std::string& x, Sides order) {
  return add("Transpose", {x}, {{"perm", std::move(order)}});
}
std::string OnnxGraph::slice(const std::string& x, int axis, int64_t first, int64_t end, int64_t step) {
  return add("Slice", {x, integers({first}), integers({end}), integers({axis}), integers({step})});
}
std::string OnnxGraph::padded(const std::string& x, Sides before, Sides after) {
  before.insert(before.end(), after.begin(), after.end());
  return add("Pad", {x, integers(std::move(before))});
}
std::string OnnxGraph::softmax(const std::string& x, int axis) {
  return add("Softmax", {x}, {{"axis", int64_t(axis)}});
}
std::string OnnxGraph::concatenated(const Names& parts, int axis) {
  return parts.size() == 1 ? parts[0] : add("Concat", parts, {{"axis", int64_t(axis)}});
}

OnnxGraph::Attributes OnnxGraph::window(const Window2& window) {
  const Window &h = window.h, &w = window.w;
  return {{"kernel_shape", Sides{h.size, w.size}},
          {"strides", Sides{h.stride, w.stride}},
          {"pads", Sides{h.before, w.before, h.padding - h.before, w.padding - w.before}}};
}

std::string OnnxGraph::channel_activation(const std::string& x, Activation a) {
  std::string part = x;
  if (a == Activation::normalize_channels_softmax_maxval)
    part = add("Sub", {x, add("ReduceMax", {x}, {{"axes", Sides{1}}})});
  part = add(a == Activation::normalize_channels ? "Relu" : "Exp", {part});
  return add("Div", {part, shifted(add("ReduceSum", {part, integers({1})}), kChannelEpsilon)});
}

// With n = floor(x) and half = floor(x / 2): half, and where n is odd, x - n more. n - 2 half tells odd ones.
std::string OnnxGraph::stair(const std::string& x) {
  const std::string n = add("Floor", {x}), half = add("Floor", {scaled(x, 0.5f)});
  const std::string odd = add("Sub", {n, scaled(half, 2)});
  return add("Add", {half, add("Mul", {odd, add("Sub", {x, n})})});
}

// The formulas are those of activate() in core/activations.h.
std::string OnnxGraph::activation(const std::string& x, Activation a) {
  if (across_channels(a)) return channel_activation(x, a);
  const auto times_x = [&](const std::string& gate) { return add("Mul", {x, gate}); };
  const auto leaky = [&](float slope) { return add("LeakyRelu", {x}, {{"alpha", slope}}); };
  const auto hard_sigmoid = [&] { return add("HardSigmoid", {x}, {{"alpha", 1.0f / 6}, {"beta", 0.5f}}); };
  // What is beyond least..most goes on, with this slope.
  const auto bent = [&](const std::string& middle, float least, float most, float slope) {
    return add("Add", {middle, scaled(add("Sub", {x, clipped(x, least, most)}), slope)});
  };
  switch (a) {
    case Activation::logistic:
      return add("Sigmoid", {x});
    case Activation::loggy:
      return shifted(scaled(add("Sigmoid", {x}), 2), -1);
    case Activation::relu:
      return add("Relu", {x});
    case Activation::relu6:
      return clipped(x, 0, 6);
    case Activation::elu:
      return add("Elu", {x});
    case Activation::selu:
      return add("Selu", {x}, {{"alpha", 1.6732632423543772f}, {"gamma", 1.0507009873554805f}});
    case Activation::relie:
      return leaky(0.01f);
    case Activation::ramp:
      return scaled(leaky(0.1f / 1.1f), 1.1f);
    case Activation::leaky:
    case Activation::revleaky:
      return leaky(0.1f);
    case Activation::tanh:
      return add("Tanh", {x});
    case Activation::plse:
      return bent(clipped(shifted(scaled(x, 0.125f), 0.5f), 0, 1), -4, 4, 0.01f);
    case Activation::stair:
      return stair(x);
    case Activation::hardtan:
      return clipped(x, -1, 1);
    case Activation::lhtan:
      return bent(clipped(x, 0, 1), 0, 1, 0.001f);
    case Activation::gelu: {
      const std::string cube = add("Mul", {x, add("Mul", {x, x})});
      const std::string inner = add("Add", {scaled(x, 0.7978845608f), scaled(cube, 0.0356774081f)});
      return scaled(times_x(shifted(add("Tanh", {inner}), 1)), 0.5f);
    }
    case Activation::gelu_erf:
      return scaled(times_x(shifted(add("Erf", {scaled(x, 0.7071067812f)}), 1)), 0.5f);
    case Activation::swish:
      return times_x(add("Sigmoid", {x}));
    case Activation::mish:
      return times_x(add("Tanh", {add("Softplus", {x})}));
    case Activation::hard_mish:  // x^2 / 2 + x is x (x + 2) / 2
      return scaled(times_x(clipped(shifted(x, 2), 0, 2)), 0.5f);
    case Activation::hardswish:
      return times_x(hard_sigmoid());
    case Activation::hardsigmoid:
      return hard_sigmoid();
    case Activation::softplus:
      return add("Softplus", {x});
    default:
      return x;
  }
}

}  // namespace osprey
