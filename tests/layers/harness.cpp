#include "tests/layers/harness.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/random.h"
#include "cuda/emulation.h"

namespace osprey {

SingleLayer::SingleLayer(const std::string& cfg, std::vector<Shape> inputs, Device device, bool training,
                         Shape network)
    : sections_(parse_cfg(cfg, "test.cfg")), inputs_(std::move(inputs)) {
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
  options.network_input = network;
  Plan plan(section, inputs_, options);
  layer_->plan(plan);
  output_ = plan.output_;
  obeys_writes_ = plan.obeys_writes_;
  for (const Plan::Want& want : plan.wants_) {
    memory_.emplace_back(want.shape.elements() * bytes_of(want.type), char(want.life == Plan::Life::lasting ? 0 : -1));
    want.bind(memory_.back().data());
  }
  for (const Plan::ParameterWant& want : plan.parameters_) {
    Values& value = parameters_[want.info.name];
    value.assign(want.shape.elements(), want.info.fill);
    if (want.info.uniform != 0)
      for (size_t i = 0; i < value.size(); ++i)
        value[i] = Random(1, Purpose::test, 0, i).uniform(-want.info.uniform, want.info.uniform);
    *want.value = {value.data(), want.shape};
    if (want.gradient) {
      Values& gradient = gradients_[want.info.name];
      gradient.assign(want.shape.elements(), 0);
      *want.gradient = {gradient.data(), want.shape};
    }
  }
  const int n = inputs_[0].n;
  if (plan.truths_) {
    truth_capacity_ = plan.truth_capacity_;
    truths.assign(size_t(n) * truth_capacity_ * 5, 0);
    truth_counts.assign(n, 0);
    *plan.truths_ = {{truths.data(), {n, 1, truth_capacity_, 5}}, {truth_counts.data(), {n, 1, 1, 1}}};
  }
  if (plan.targets_) {
    targets.assign(plan.targets_shape_.elements(), 0);
    *plan.targets_ = {targets.data(), plan.targets_shape_};
  }
  if (plan.step_) *plan.step_ = &step;
}

Values SingleLayer::forward(const std::vector<Values>& x) {
  x_ = x;
  layer_->inputs.clear();
  for (size_t k = 0; k < x_.size(); ++k) {
    if (int64_t(x_[k].size()) != inputs_[k].elements()) fail("input {} needs {} values", k, inputs_[k].elements());
    layer_->inputs.push_back(Tensor(x_[k].data(), inputs_[k]));
  }
  y_.assign(output_.elements(), NAN);
  layer_->y = Tensor(y_.data(), output_);
  layer_->forward(stream_);
  return y_;
}

void SingleLayer::backward_once(const Values& dy, Write write) {
  dy_ = dy;
  layer_->dy = Tensor(dy_.data(), output_);
  layer_->input_gradients.clear();
  for (size_t k = 0; k < inputs_.size(); ++k) layer_->input_gradients.push_back(Tensor(dx_[k].data(), inputs_[k]));
  layer_->input_writes.assign(inputs_.size(), write);
  layer_->backward(stream_);
}

std::vector<Values> SingleLayer::backward(const Values& dy, const std::vector<Values>& dx_before) {
  dx_ = dx_before;
  dx_.resize(inputs_.size());
  for (size_t k = 0; k < dx_.size(); ++k) dx_[k].resize(inputs_[k].elements());
  backward_once(dy, Write::add);
  return dx_;
}

std::vector<Values> SingleLayer::backward_overwriting(const Values& dy) {
  dx_.assign(inputs_.size(), {});
  for (size_t k = 0; k < dx_.size(); ++k) dx_[k].assign(inputs_[k].elements(), NAN);
  backward_once(dy, Write::overwrite);
  return dx_;
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

struct Run {
  Values y;
  std::vector<Values> dx;
  std::map<std::string, Values> parameters, gradients;
};

Run run(const std::string& cfg, const std::vector<Shape>& inputs, Device device) {
  SingleLayer layer(cfg, inputs, device);
  std::vector<Values> x, dx_before;
  for (size_t k = 0; k < inputs.size(); ++k) {
    x.push_back(random_values(inputs[k], 7 + k));
    for (float& v : x.back()) v = std::round(v * 8) / 8;
    dx_before.push_back(random_values(inputs[k], 19 + k));  // not zero: backward must add, not overwrite
  }
  uint64_t seed = 40;
  for (auto& [name, values] : layer.parameters()) {
    const Values start = random_values({1, 1, 1, int(values.size())}, ++seed);
    for (size_t i = 0; i < values.size(); ++i) values[i] = std::fabs(start[i]) + 0.5f;
  }
  Run result;
  result.y = layer.forward(x);
  result.dx = layer.backward(random_values(layer.output(), 31), dx_before);
  result.parameters = layer.parameters();
  result.gradients = layer.gradients();
  return result;
}

}  // namespace

void expect_parity(const std::string& cfg, std::vector<Shape> inputs, Tolerance t) {
  SCOPED_TRACE(cfg + "\non " + inputs[0].text());
  const Run want = run(cfg, inputs, Device::cpu);
  for (auto order : {emulation::Order::forward, emulation::Order::reverse, emulation::Order::shuffled}) {
    emulation::set_order(order);
    const Run got = run(cfg, inputs, Device::cuda);
    expect_equal(got.y, want.y, t);
    for (size_t k = 0; k < inputs.size(); ++k) expect_equal(got.dx[k], want.dx[k], t);
    for (const auto& [name, values] : want.parameters) expect_equal(got.parameters.at(name), values, t);
    for (const auto& [name, values] : want.gradients) {
      SCOPED_TRACE("gradient of " + name);
      expect_equal(got.gradients.at(name), values, t);
    }
  }
  emulation::set_order(emulation::Order::forward);
}

void expect_gradient(const std::string& cfg, std::vector<Shape> inputs, const std::vector<Values>& x, float step,
                     Tolerance t) {
  SCOPED_TRACE(cfg + "\non " + inputs[0].text());
  SingleLayer layer(cfg, inputs);
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
