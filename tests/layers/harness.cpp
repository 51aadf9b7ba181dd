#include "tests/layers/harness.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <optional>

#include "core/bf16.h"
#include "core/random.h"
#include "cuda/emulation.h"
#include "cuda/runtime.h"
#include "layers/simd/outer_product.h"

namespace osprey {

SingleLayer::SingleLayer(const std::string& cfg, std::vector<Shape> inputs, Device device, bool training,
                         Shape network, Type precision)
    : sections_(parse_cfg(cfg, "test.cfg")), inputs_(std::move(inputs)), training_(training) {
  stream_.device = device;
  Section& section = sections_.at(0);
  const LayerType* type = find_layer_type(section.name);
  if (!type) fail("no layer type [{}]", section.name);
  layer_ = type->make();
  Keys keys(&section);
  keys.texts("from", layer_->from).help("the layers it reads");
  layer_->keys(keys);
  keys.finish();

  BuildOptions options;
  options.training = training;
  options.device = device;
  options.network_input = network;
  Type input_type = precision, output_type = precision;
  if (device == Device::cpu) {
    options.bf16_products = precision == Type::bf16;
    if (!layer_->takes_bf16(options)) input_type = Type::f32;
    if (!layer_->makes_bf16(options)) output_type = Type::f32;
  } else {
    options.precision = precision;
  }
  if (layer_->has_loss()) input_type = Type::f32;
  std::vector<Plan::Input> planned;
  for (Shape shape : inputs_) planned.push_back({shape, input_type});
  for (const Plan::Input& in : planned) input_types_.push_back(in.type);
  Plan plan(section, planned, options, true, output_type);
  layer_->plan(plan);
  output_ = plan.output_;
  output_type_ = plan.output_type_;
  obeys_writes_ = plan.obeys_writes_;
  for (const Plan::Want& want : plan.wants_) {
    const Tensor memory = allocate(want.shape, want.type);
    const std::vector<char> start(memory.bytes(), char(want.life == Plan::Life::lasting ? 0 : -1));
    put_bytes(memory.data, start.data(), start.size());
    want.bind(memory.data);
  }
  for (const Plan::Constant& constant : plan.constants_) {
    const Tensor memory = allocate({1, 1, 1, int(constant.bytes.size())}, Type::u8);
    put_bytes(memory.data, constant.bytes.data(), constant.bytes.size());
    constant.bind(memory.data);
  }
  for (const Plan::ParameterWant& want : plan.parameters_) {
    Values& value = parameters_[want.info.name];
    value.assign(want.shape.elements(), want.info.fill);
    for (size_t i = 0; i < value.size() && want.info.drawn(); ++i) {
      Random random(1, Purpose::test, 0, i);
      value[i] += want.info.normal != 0 ? want.info.normal * random.normal()
                                        : random.uniform(-want.info.uniform, want.info.uniform);
    }
    Parameter p{want.info.name, allocate(want.shape, Type::f32), {}, {}};
    *want.value = p.value;
    if (want.gradient) {
      gradients_[want.info.name].assign(want.shape.elements(), 0);
      p.gradient = allocate(want.shape, Type::f32);
      *want.gradient = p.gradient;
    }
    if (want.copy)
      *want.copy = p.copy = options.precision == Type::f32 ? p.value : allocate(want.shape, precision);
    on_device_.push_back(p);
  }
  const int n = inputs_[0].n;
  if (plan.truths_) {
    truth_capacity_ = plan.truth_capacity_;
    truths.assign(size_t(n) * truth_capacity_ * 5, 0);
    truth_counts.assign(n, 0);
    truths_ = {allocate({n, 1, truth_capacity_, 5}, Type::f32), allocate({n, 1, 1, 1}, Type::i32)};
    *plan.truths_ = truths_;
  }
  if (plan.targets_) {
    targets.assign(plan.targets_shape_.elements(), 0);
    targets_ = allocate(plan.targets_shape_, Type::f32);
    *plan.targets_ = targets_;
  }
  step_ = static_cast<Step*>(allocate({1, 1, 1, sizeof(Step)}, Type::u8).data);
  if (plan.step_) *plan.step_ = step_;
  report_ = static_cast<LossReport*>(allocate({1, 1, 1, sizeof(LossReport)}, Type::u8).data);
  if (plan.loss_) *plan.loss_ = report_;
}

SingleLayer::~SingleLayer() {
  layer_.reset();
  for (void* memory : memory_) stream_.device == Device::cpu ? std::free(memory) : cuda::release(memory);
}

Tensor SingleLayer::allocate(Shape shape, Type type) {
  const Tensor tensor(nullptr, shape, type);
  const size_t bytes = (std::max(tensor.bytes(), size_t(1)) + 63) / 64 * 64;
  memory_.push_back(stream_.device == Device::cpu ? std::aligned_alloc(64, bytes) : cuda::allocate(bytes));
  return {memory_.back(), shape, type};
}

void SingleLayer::put_bytes(void* to, const void* from, size_t bytes) {
  if (stream_.device == Device::cpu)
    std::memcpy(to, from, bytes);
  else
    cuda::copy(stream_, to, from, bytes);
}

void SingleLayer::get_bytes(void* to, const void* from, size_t bytes) {
  put_bytes(to, from, bytes);
  if (stream_.device == Device::cuda) cuda::synchronize(stream_);
}

void SingleLayer::put(const Tensor& to, const Values& values) {
  if (values.size() != size_t(to.size()))
    fail("{} values for a tensor of {}", values.size(), to.shape.text());
  if (to.type == Type::f32) return put_bytes(to.data, values.data(), to.bytes());
  const std::vector<bf16> rounded(values.begin(), values.end());
  put_bytes(to.data, rounded.data(), to.bytes());
}

Values SingleLayer::get(const Tensor& from) {
  Values values(size_t(from.size()));
  if (from.type == Type::f32) {
    get_bytes(values.data(), from.data, from.bytes());
  } else {
    std::vector<bf16> rounded(values.size());
    get_bytes(rounded.data(), from.data, from.bytes());
    values.assign(rounded.begin(), rounded.end());
  }
  return values;
}

Values SingleLayer::forward(const std::vector<Values>& x) {
  if (layer_->inputs.empty()) {
    for (size_t k = 0; k < x.size(); ++k) layer_->inputs.push_back(allocate(inputs_[k], input_types_[k]));
    layer_->y = allocate(output_, output_type_);
  }
  for (size_t k = 0; k < x.size(); ++k) put(layer_->inputs[k], x[k]);
  put(layer_->y, Values(size_t(output_.elements()), NAN));
  for (const Parameter& p : on_device_) {
    put(p.value, parameters_.at(p.name));
    if (p.copy && p.copy.data != p.value.data) put(p.copy, parameters_.at(p.name));
  }
  if (truths_.boxes) {
    put(truths_.boxes, truths);
    put_bytes(truths_.counts.data, truth_counts.data(), truth_counts.size() * sizeof(int));
  }
  if (targets_) put(targets_, targets);
  report = report_before;
  put_bytes(step_, &step, sizeof(Step));
  put_bytes(report_, &report, sizeof(LossReport));
  if (!training_) layer_->prepare(stream_, {});
  layer_->forward(stream_);
  get_bytes(&report, report_, sizeof(LossReport));
  for (const Parameter& p : on_device_) parameters_.at(p.name) = get(p.value);
  return get(layer_->y);
}

void SingleLayer::backward_once(const Values& dy, const std::vector<Values>& dx_before, Write write) {
  if (!layer_->dy) {
    layer_->dy = allocate(output_, output_type_);
    for (size_t k = 0; k < inputs_.size(); ++k)
      layer_->input_gradients.push_back(allocate(inputs_[k], input_types_[k]));
  }
  put(layer_->dy, dy);
  for (size_t k = 0; k < inputs_.size(); ++k) put(layer_->input_gradients[k], dx_before[k]);
  for (const Parameter& p : on_device_)
    if (p.gradient) put(p.gradient, gradients_.at(p.name));
  layer_->input_writes.assign(inputs_.size(), write);
  layer_->backward(stream_);
  for (const Parameter& p : on_device_)
    if (p.gradient) gradients_.at(p.name) = get(p.gradient);
}

std::vector<Values> SingleLayer::gradients_of_inputs() {
  std::vector<Values> dx;
  for (const Tensor& gradient : layer_->input_gradients) dx.push_back(get(gradient));
  return dx;
}

std::vector<Values> SingleLayer::backward(const Values& dy, const std::vector<Values>& dx_before) {
  std::vector<Values> start = dx_before;
  start.resize(inputs_.size());
  for (size_t k = 0; k < start.size(); ++k) start[k].resize(inputs_[k].elements());
  backward_once(dy, start, Write::add);
  return gradients_of_inputs();
}

std::vector<Values> SingleLayer::backward_overwriting(const Values& dy) {
  std::vector<Values> garbage;
  for (Shape shape : inputs_) garbage.emplace_back(size_t(shape.elements()), NAN);
  backward_once(dy, garbage, Write::overwrite);
  return gradients_of_inputs();
}

Values well_separated(Shape shape, uint64_t seed) {
  Values v(shape.elements());
  for (size_t i = 0; i < v.size(); ++i) v[i] = 0.1f * float(i) - 0.05f * float(v.size());
  Random random(seed, Purpose::test);
  for (size_t i = v.size(); i > 1; --i) std::swap(v[i - 1], v[random.below(int(i))]);
  return v;
}

Values random_values(Shape shape, uint64_t seed) {
  Values v(shape.elements());
  for (size_t i = 0; i < v.size(); ++i) v[i] = Random(seed, Purpose::test, 1, i).uniform(-1, 1);
  return v;
}

void expect_equal(const Values& got, const Values& want, Tolerance t) {
  ASSERT_EQ(got.size(), want.size());
  int bad = 0;
  for (size_t i = 0; i < got.size() && bad < 5; ++i)
    if (!(std::fabs(got[i] - want[i]) <= t.absolute + t.relative * std::fabs(want[i]))) {
      ++bad;
      ADD_FAILURE() << "at " << i << ": got " << got[i] << ", want " << want[i];
    }
}

namespace {

// Multiples of 1/64, which bf16 holds, too.
Values short_values(Shape shape, uint64_t seed) {
  Values v = random_values(shape, seed);
  for (float& value : v) value = std::round(value * 64) / 64;
  return v;
}

struct Run {
  Values y;
  std::vector<Values> dx, overwritten;
  std::map<std::string, Values> parameters, gradients;
  double loss = 0;

  bool operator==(const Run&) const = default;
};

Run run(const std::string& cfg, const std::vector<Shape>& inputs, Device device, Type precision) {
  SingleLayer layer(cfg, inputs, device, true, {1, 32, 32, 3}, precision);
  std::vector<Values> x, dx_before;
  for (size_t k = 0; k < inputs.size(); ++k) {
    x.push_back(random_values(inputs[k], 7 + k));
    for (float& v : x.back()) v = std::round(v * 8) / 8;
    dx_before.push_back(short_values(inputs[k], 19 + k));  // not zero: backward must add, not overwrite
  }
  uint64_t seed = 40;
  for (auto& [name, values] : layer.parameters()) {
    const Values start = short_values({1, 1, 1, int(values.size())}, ++seed);
    for (size_t i = 0; i < values.size(); ++i) values[i] = std::fabs(start[i]) + 0.5f;
  }
  for (const auto& [name, values] : layer.gradients())
    layer.parameter_gradient(name) = random_values({1, 1, 1, int(values.size())}, ++seed);
  for (size_t i = 0; i < layer.targets.size(); ++i) layer.targets[i] = float(i % 3);
  layer.report_before.loss = 3;  // not zero: a loss adds to it
  Run result;
  const Values dy = short_values(layer.output(), 31);
  result.y = layer.forward(x);
  result.loss = layer.report.loss;
  result.dx = layer.backward(dy, dx_before);
  result.parameters = layer.parameters();
  result.gradients = layer.gradients();
  if (layer.obeys_writes()) result.overwritten = layer.backward_overwriting(dy);
  return result;
}

void expect_near(const Run& got, const Run& want, Tolerance t) {
  expect_equal(got.y, want.y, t);
  EXPECT_NEAR(got.loss, want.loss, 1e-6 * std::fabs(want.loss));
  for (size_t k = 0; k < want.dx.size(); ++k) {
    SCOPED_TRACE("gradient of input " + std::to_string(k));
    expect_equal(got.dx[k], want.dx[k], t);
    if (!want.overwritten.empty()) expect_equal(got.overwritten[k], want.overwritten[k], t);
  }
  for (const auto& [name, values] : want.parameters) expect_equal(got.parameters.at(name), values, t);
  for (const auto& [name, values] : want.gradients) {
    SCOPED_TRACE("gradient of " + name);
    expect_equal(got.gradients.at(name), values, t);
  }
}

void expect_parity(const std::string& cfg, const std::vector<Shape>& inputs, Tolerance t, Type precision) {
  SCOPED_TRACE(cfg + "\non " + inputs[0].text());
  const Run want = run(cfg, inputs, Device::cpu, Type::f32);
  if (precision == Type::bf16 && simd::has_bf16_products()) {
    SCOPED_TRACE("the CPU in bf16");
    expect_near(run(cfg, inputs, Device::cpu, Type::bf16), want, t);
  }
  std::optional<Run> first;
  for (auto order : {emulation::Order::forward, emulation::Order::reverse, emulation::Order::shuffled}) {
    SCOPED_TRACE("order " + std::to_string(int(order)));
    emulation::set_order(order);
    const Run got = run(cfg, inputs, Device::cuda, precision);
    if (!first) first = got;
    EXPECT_TRUE(got == *first) << "the order of threads changes bits of the result";
    expect_near(got, want, t);
  }
  emulation::set_order(emulation::Order::forward);
}

}  // namespace

void expect_parity(const std::string& cfg, std::vector<Shape> inputs, Tolerance t) {
  expect_parity(cfg, inputs, t, Type::f32);
}

void expect_parity_in_bf16(const std::string& cfg, std::vector<Shape> inputs, Tolerance t) {
  expect_parity(cfg, inputs, t, Type::bf16);
}

void expect_gradient(const std::string& cfg, std::vector<Shape> inputs, const std::vector<Values>& x,
                     float step, Tolerance t, Device device) {
  SCOPED_TRACE(cfg + "\non " + inputs[0].text() + (device == Device::cpu ? " by the CPU" : " by kernels"));
  SingleLayer layer(cfg, inputs, device);
  const Values dy = random_values(layer.output(), 9);
  std::vector<Values> at = x;
  auto loss = [&] {
    const Values y = layer.forward(at);
    double sum = 0;
    for (size_t i = 0; i < y.size(); ++i) sum += double(y[i]) * dy[i];
    return sum;
  };
  auto slopes = [&](Values& values) {
    Values numeric(values.size());
    for (size_t i = 0; i < values.size(); ++i) {
      const float here = values[i];
      values[i] = here + step;
      const double up = loss(), high = values[i];
      values[i] = here - step;
      const double down = loss(), low = values[i];
      values[i] = here;
      numeric[i] = float((up - down) / (high - low));
    }
    return numeric;
  };
  loss();
  const std::vector<Values> dx = layer.backward(dy);
  const std::map<std::string, Values> gradients = layer.gradients();
  for (size_t k = 0; k < at.size(); ++k) {
    SCOPED_TRACE("input " + std::to_string(k));
    expect_equal(dx[k], slopes(at[k]), t);
  }
  for (auto& [name, gradient] : gradients) {
    SCOPED_TRACE(name);
    expect_equal(gradient, slopes(layer.parameter(name)), t);
  }
  if (layer.obeys_writes()) {
    loss();
    const std::vector<Values> fresh = layer.backward_overwriting(dy);
    for (size_t k = 0; k < fresh.size(); ++k) expect_equal(fresh[k], dx[k], {1e-5f, 1e-6f});
  }
}

void expect_gradient(const std::string& cfg, Shape input, uint64_t seed) {
  expect_gradient(cfg, {input}, {random_values(input, seed)});
}

void expect_gradient_on_both(const std::string& cfg, std::vector<Shape> inputs,
                             const std::vector<Values>& x) {
  for (Device device : {Device::cpu, Device::cuda})
    expect_gradient(cfg, inputs, x, kGradientStep, kGradientTolerance, device);
}

void expect_gradient_on_both(const std::string& cfg, Shape input) {
  expect_gradient_on_both(cfg, {input}, {random_values(input, 3)});
}

void expect_error(const std::string& cfg, const std::string& message, std::vector<Shape> inputs) {
  try {
    SingleLayer layer(cfg, std::move(inputs));
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find(message), std::string::npos) << "the error is: " << e.what();
    return;
  }
  ADD_FAILURE() << "no error, expected: " << message;
}

}  // namespace osprey
