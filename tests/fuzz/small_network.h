// The network that the readers of weights fill.
#pragma once

#include <memory>

#include "models/network.h"

namespace osprey {

// Of each kind of array one: convolution, its batch norm, fully connected.
inline Network& small_network() {
  static const auto network = [] {
    NetworkOptions options;
    options.build.training = false;
    auto made =
        std::make_unique<Network>(parse_cfg("[net]\nwidth=4\nheight=4\nchannels=2\n"
                                            "[convolutional]\nfilters=3\nsize=3\npad=1\nbatch_normalize=1\n"
                                            "[connected]\noutput=2\n",
                                            "small.cfg"),
                                  options);
    made->plan(1, 4, 4);
    return made;
  }();
  return *network;
}

}  // namespace osprey
