#include "apps/load.h"

#include <algorithm>
#include <string_view>

#include "models/weights.h"

namespace osprey {

ReadParameter values_to_measure(const Parameters& parameters) {
  return [&parameters](const ParameterSpan& span, int first, int last, float* to) {
    if (span.info.name == std::string_view("rolling_variance"))
      std::fill_n(to, (last - first) * span.of_output(), 1.0f);
    else
      parameters.read_initial(span, 0, first, last, to);
  };
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
  network->prepare_for_good(values_to_measure(network->parameters()));
  return network;
}

}  // namespace osprey
