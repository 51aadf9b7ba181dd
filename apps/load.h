// What several sub-commands do first: a network for detection from a .cfg and a .weights file.
#pragma once

#include <memory>
#include <string>

#include "apps/device.h"
#include "models/network.h"

namespace osprey {

struct LoadOptions {
  std::string cfg, weights;  // without weights the parameters are Darknet's initial random ones
  DeviceOptions device;
  int batch = 1;
  bool lenient = false, keep_all = false;
  float batchnorm_epsilon = 1e-5f;
};

// Planned at the size that the .cfg says, loaded, folded: ready for forward().
std::unique_ptr<Network> load_network(const LoadOptions& options);

}  // namespace osprey
