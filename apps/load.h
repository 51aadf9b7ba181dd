// What several sub-commands do first: a network for detection from a .cfg and a .weights file.
#pragma once

#include <memory>
#include <string>

#include "apps/device.h"
#include "models/network.h"

namespace osprey {

struct LoadOptions {
  std::string cfg, weights;  // without weights: values_to_measure()
  DeviceOptions device;
  int batch = 1;
  bool lenient = false, keep_all = false;
  bool once = false;  // few forward passes: the weights are brought in each (NetworkOptions::streams)
  float batchnorm_epsilon = 1e-5f;
};

// Random parameters for measurements: Darknet's initial ones, but variances of 1, since his 0 would blow
// every activation up to infinity.
ReadParameter values_to_measure(const Parameters& parameters);

// Planned at the size that the .cfg says, loaded, folded: ready for forward().
std::unique_ptr<Network> load_network(const LoadOptions& options);

}  // namespace osprey
