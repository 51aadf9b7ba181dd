#include "apps/load.h"

#include "models/weights.h"

namespace osprey {

std::unique_ptr<Network> load_network(const LoadOptions& options) {
  NetworkOptions build;
  build.build.training = false;
  build.build.device = options.device.device();
  build.precision = options.device.precision();
  build.build.convolution = options.device.convolution();
  build.build.batchnorm_epsilon = options.batchnorm_epsilon;
  build.lenient = options.lenient;
  build.keep_all = options.keep_all;
  auto network = std::make_unique<Network>(read_cfg(options.cfg), build);
  network->plan(options.batch, network->net().width, network->net().height);
  if (options.weights.empty())
    network->parameters().initialise(0);
  else
    load_weights(options.weights, *network, Coverage::whole);
  network->prepare();
  return network;
}

}  // namespace osprey
