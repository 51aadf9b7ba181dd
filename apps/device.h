// The options of every sub-command that runs a network: where, and in which precision.
#pragma once

#include <optional>
#include <string>

#include "core/convolution_algorithm.h"
#include "core/stream.h"
#include "models/net_section.h"

namespace CLI {
class App;
}

namespace osprey {

struct DeviceOptions {
  std::string name = "cpu", precision_name, convolution_name = "automatic";

  // Error: a device that this machine or this build does not have.
  Device device() const;
  std::optional<Precision> precision() const;  // nothing: as [net] says
  ConvolutionAlgorithm convolution() const;
};

void add_device_options(CLI::App& command, DeviceOptions& options);

// `--device emulated` given to a program without emulated kernels goes on as the program osprey-emulated,
// which lies beside this one. Returns if the arguments do not ask for it.
void hand_over_to_emulation(int argc, char** argv);

}  // namespace osprey
