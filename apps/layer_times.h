// What each layer of a network takes, beside the least that this machine allows.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "apps/probe.h"
#include "models/network.h"

namespace osprey {

struct LayerRuns {
  Precision precision = Precision::fp32;  // that the network was built with
  int warmup = 3, iterations = 20;
  std::function<void(bool first)> give;  // the images, before each iteration
};

struct LayerFigures {
  double milliseconds = 0;  // the median; 0: done by another layer, or nothing but a name for what is there
  double least_milliseconds = 0;  // of all iterations: on a busy machine it says more
  double gflops = 0;              // a second, as usual
  double of_roof =
      0;  // the least time that the ceilings allow, in parts of what it usually took; 0: not known
};

// Runs the layers one by one. The ceilings are those of the CPU, and say nothing of other devices.
std::vector<LayerFigures> measure_layers(Network& network, const LayerRuns& runs, const Ceilings& ceilings);

std::string table_of(const Network& network, const std::vector<LayerFigures>& figures);

}  // namespace osprey
