// A layer that has parameters and reads no other, in a network.
#include <gtest/gtest.h>

#include "tests/models/networks.h"

namespace osprey {
namespace {

// y = mean of the image + w; the gradient of w is the sum of y - target over the images.
TEST(Implicit, IsLearnedInANetwork) {
  for (Device device : {Device::cpu, Device::cuda}) {
    NetworkOptions options;
    options.build.device = device;
    Network network = network_of(
        "[net]\nbatch=3\nwidth=4\nheight=4\nchannels=2\n[avgpool]\n[implicit]\nfilters=2\n"
        "[shortcut]\nfrom=-2\nactivation=linear\n[cost]\n",
        options);
    network.plan(3, 4, 4);
    Parameters& parameters = network.parameters();
    parameters.initialise(1);
    const ParameterSpan& weights = parameters.spans().at(0);
    parameters.value(weights)[0] = 10, parameters.value(weights)[1] = 20;
    parameters.upload();
    parameters.zero_gradients();
    fill_randomly(network.input(), 2);
    fill_randomly(network.targets(), 3);
    network.forward();
    network.backward();
    network.wait();
    const std::vector<float> y = network.read(3);
    parameters.download_gradients();
    for (int c = 0; c < 2; ++c) {
      double gradient = 0;
      for (int n = 0; n < 3; ++n) {
        EXPECT_NEAR(y[size_t(2 * n + c)], 10.5 * (c + 1), c + 1);  // means of values from 0 to 1
        gradient += double(y[size_t(2 * n + c)]) - network.targets()[2 * n + c];
      }
      EXPECT_NEAR(parameters.gradient(weights)[c], gradient, 1e-4);
    }
  }
}

}  // namespace
}  // namespace osprey
