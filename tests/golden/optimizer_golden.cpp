// Updates of parameters, as PyTorch's optimizers make them.
#include "tests/golden/golden.h"
#include "train/sgd.h"

namespace osprey {
namespace {

GOLDEN_WHERE(sgd_momentum_wd, "optimizer", c.params().value("kind", "") == "sgd_momentum_wd") {
  const std::vector<float> start = c.floats("p0"), gradients = c.floats("grads");
  const int count = int(start.size());
  Parameters parameters;
  ParameterSpan span{};
  span.shape = {1, 1, 1, count};
  span.info = {"weights", Role::weights};
  parameters.add(span);
  parameters.allocate(true);
  std::copy(start.begin(), start.end(), parameters.values());
  std::vector<float> path;
  for (int step = 0; step < c.param("steps", 0); ++step) {
    std::copy_n(gradients.begin() + long(step) * count, count, parameters.gradients());
    sgd_step(parameters, {c.param("lr", 0.0f), c.param("momentum", 0.0f), c.param("weight_decay", 0.0f), 1});
    path.insert(path.end(), parameters.values(), parameters.values() + count);
  }
  c.expect("params", path);
}

}  // namespace
}  // namespace osprey
