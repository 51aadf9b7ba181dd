// Updates of parameters, as PyTorch's optimizers make them, on the CPU and by the kernels.
#include "cuda/runtime.h"
#include "tests/golden/golden.h"
#include "train/optimizer.h"

namespace osprey {
namespace {

// The parameters after each step, one after the other, by the optimizer that `net` asks for.
std::vector<float> path_of(const golden::Case& c, const NetSection& net, Device device) {
  const std::vector<float> start = c.floats("p0"), gradients = c.floats("grads");
  const size_t count = start.size();
  Stream stream{device};
  Parameters parameters;
  ParameterSpan span{};
  span.shape = {1, 1, 1, int(count)};
  span.info = {"weights", Role::weights};
  parameters.add(span);
  parameters.allocate(true, stream);
  std::copy(start.begin(), start.end(), parameters.values());
  parameters.upload();
  DeviceBuffer step{"the step"};
  step.allocate(stream, sizeof(Step));
  Optimizer optimizer(net, parameters, stream);
  std::vector<float> path;
  for (int i = 0; i < c.param("steps", 0); ++i) {
    Step now;
    now.iteration = i + 1;
    now.learning_rate = c.param("lr", 0.0f);
    *reinterpret_cast<Step*>(step.host()) = now;
    step.upload();
    cuda::copy(stream, parameters.device_gradients(), gradients.data() + size_t(i) * count,
               count * sizeof(float));
    optimizer.clear_faults();
    optimizer.update(reinterpret_cast<const Step*>(step.device()));
    parameters.download();
    path.insert(path.end(), parameters.values(), parameters.values() + count);
  }
  return path;
}

void expect_path(const golden::Case& c, NetSection net) {
  net.decay = c.param("weight_decay", 0.0f);
  for (const Device device : {Device::cpu, Device::cuda}) c.expect("params", path_of(c, net, device));
}

NetSection adam_of(const golden::Case& c, Rule rule) {
  NetSection net;
  net.optimizer = rule;
  net.beta1 = c.param("beta1", 0.0f);
  net.beta2 = c.param("beta2", 0.0f);
  net.epsilon = c.param("eps", 0.0f);
  return net;
}

GOLDEN_WHERE(sgd_momentum_wd, "optimizer", c.params().value("kind", "") == "sgd_momentum_wd") {
  NetSection net;
  net.momentum = c.param("momentum", 0.0f);
  expect_path(c, net);
}

GOLDEN_WHERE(sgd_nesterov, "optimizer", c.params().value("kind", "") == "sgd_nesterov") {
  NetSection net;
  net.momentum = c.param("momentum", 0.0f);
  net.nesterov = c.params().value("nesterov", true);
  expect_path(c, net);
}

GOLDEN_WHERE(adam_l2, "optimizer", c.params().value("kind", "") == "adam_l2") {
  expect_path(c, adam_of(c, Rule::adam));
}

GOLDEN_WHERE(adamw, "optimizer", c.params().value("kind", "") == "adamw") {
  expect_path(c, adam_of(c, Rule::adamw));
}

GOLDEN_WHERE(rmsprop, "optimizer", c.params().value("kind", "") == "rmsprop") {
  NetSection net;
  net.optimizer = Rule::rmsprop;
  net.momentum = c.param("momentum", 0.0f);
  net.alpha = c.param("alpha", 0.0f);
  net.epsilon = c.param("eps", 0.0f);
  expect_path(c, net);
}

}  // namespace
}  // namespace osprey
