#include "apps/load.h"

#include <algorithm>

#include "models/weights.h"

namespace osprey {

void initialise_to_measure(Parameters& parameters, const ParameterSpan& span) {
  parameters.initialise(span, 0);
  const View<float> value = parameters.value(span);
  if (span.info.name == std::string("rolling_variance")) std::fill(value.begin(), value.end(), 1.0f);
}

std::unique_ptr<Network> load_network(const LoadOptions& options) {
  NetworkOptions build;
  build.build.training = false;
  build.build.device = options.device.device();
  build.precision = options.device.precision();
  build.build.convolution = options.device.convolution();
  build.build.batchnorm_epsilon = options.batchnorm_epsilon;
  build.lenient = options.lenient;
  build.keep_all = options.keep_all;
  build.streams = options.once && !options.weights.empty();
  auto network = std::make_unique<Network>(read_cfg(options.cfg), build);
  network->plan(options.batch, network->net().width, network->net().height);
  if (!options.weights.empty()) {
    load_for_good(options.weights, *network);
    return network;
  }
  network->prepare_for_good(
      [&](const ParameterSpan& span) { initialise_to_measure(network->parameters(), span); });
  return network;
}

}  // namespace osprey
