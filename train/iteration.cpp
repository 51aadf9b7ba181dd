#include "train/iteration.h"

#include <cmath>

#include "train/schedule.h"

namespace osprey {
namespace {

bool finite(View<const float> values) {
  float sum = 0;  // of v * 0: anything but 0 means that a NaN or an infinity is in it
  for (int i = 0; i < values.size(); ++i) sum += values.data[i] * 0.0f;
  return sum == 0;
}

std::string named(const std::vector<std::string>& images) {
  std::string list;
  for (size_t i = 0; i < images.size() && i < 4; ++i) list += (i ? ", " : "") + images[i];
  if (images.size() > 4) list += fmt::format(" and {} more", images.size() - 4);
  return list;
}

// Runs forward again, layer by layer, to find the first whose output is not finite. Outputs share memory, so
// they can only be told apart while they are made.
[[noreturn]] void blame(Network& network, int64_t iteration, const std::vector<std::string>& images) {
  const char* cure = "lower learning_rate or raise burn_in, and check these images and their labels";
  if (!finite(network.input().view<const float>()))
    fail("iteration {}: the input is not finite, in {}", iteration, named(images));
  const int layer = network.first_not_finite();
  if (layer < 0)
    fail("iteration {}: the loss is not finite, though every layer's output is; images: {}; {}", iteration,
         named(images), cure);
  fail("iteration {}: {} is the first whose output is not finite; images: {}; {}", iteration,
       network.where(layer), named(images), cure);
}

}  // namespace

IterationResult run_iteration(Network& network, Optimizer& optimizer, int64_t iteration, uint64_t seed,
                              const FillMiniBatch& fill) {
  const NetSection& net = network.net();
  const int mini_batch = network.input().shape.n;
  const int mini_batches = net.batch / mini_batch;
  IterationResult result;
  result.rate = learning_rate(net, iteration, seed);
  Step& step = network.step();
  step.iteration = iteration;
  step.seed = seed;
  step.learning_rate = result.rate;
  optimizer.clear_faults();
  const std::vector<std::string>* images = nullptr;
  for (int m = 0; m < mini_batches; ++m) {
    step.pass = (iteration - 1) * mini_batches + m;
    step.seen = (step.pass + 1) * mini_batch;
    images = &fill(network);
    network.clear_losses();
    network.forward();
    double cost = 0;
    int costs = 0;
    const std::vector<LossReport> reports = network.losses();
    for (size_t i = 0; i < reports.size(); ++i) {
      if (!network.nodes()[i].layer->has_loss()) continue;
      const LossReport& report = reports[i];
      cost += report.loss;
      ++costs;
      add(result.parts, report);
    }
    if (costs == 0) fail("the network has no layer with a loss: nothing to train for");
    if (!std::isfinite(cost)) blame(network, iteration, *images);
    result.loss += cost / costs;
    network.backward();
  }
  result.loss /= double(mini_batches) * mini_batch;
  optimizer.update(network.device_step());
  if (const Faults faults = optimizer.faults(); faults.any()) {
    const ParameterSpan& span = network.parameters().spans()[size_t(faults.span)];
    fail(
        "iteration {}: the gradient of {} ({}) is not finite; images: {}; lower learning_rate or raise "
        "burn_in",
        iteration, network.where(span.layer), span.info.name, named(*images));
  }
  return result;
}

}  // namespace osprey
