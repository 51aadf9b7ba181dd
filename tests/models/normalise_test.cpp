// The input that layers read, of networks that normalise their images.
#include <gtest/gtest.h>

#include "tests/models/networks.h"

namespace osprey {
namespace {

// The first layer copies its input.
constexpr const char* kCfg =
    "[net]\nbatch=2\nwidth=5\nheight=3\nmean=.485,.456,.406\ndeviation=.229,.224,.225\n"
    "[maxpool]\nsize=1\nstride=1\n";

NetworkOptions options_of(Device device, Precision precision = Precision::fp32) {
  NetworkOptions options = inference();
  options.build.device = device;
  options.precision = precision;
  return options;
}

std::vector<float> wanted(const std::vector<float>& images) {
  const float mean[] = {.485f, .456f, .406f}, deviation[] = {.229f, .224f, .225f};
  std::vector<float> want;
  for (size_t i = 0; i < images.size(); ++i) want.push_back((images[i] - mean[i % 3]) / deviation[i % 3]);
  return want;
}

TEST(Normalise, LayersReadWhatTorchvisionsTransformMakes) {
  for (const Device device : {Device::cpu, Device::cuda}) {
    Network network = network_of(kCfg, options_of(device));
    network.plan(2, 5, 3);
    network.parameters().upload();
    network.prepare();
    for (const uint64_t seed : {3, 4}) {
      fill_randomly(network.input(), seed);
      const std::vector<float> images = copy_of(network.input());
      for (int again = 0; again < 2; ++again) {  // the images stay as they are
        network.forward();
        EXPECT_EQ(network.read(0), wanted(images));
        EXPECT_EQ(network.read_input(), images);
      }
      EXPECT_EQ(network.first_not_finite(), -1);
    }
  }
}

TEST(Normalise, InBf16TheNormalisedValuesAreRounded) {
  Network network = network_of(kCfg, options_of(Device::cuda, Precision::bf16));
  network.plan(2, 5, 3);
  network.parameters().upload();
  network.prepare();
  fill_randomly(network.input(), 3);
  const std::vector<float> want = wanted(copy_of(network.input()));
  network.forward();
  const std::vector<float> got = network.read(0);
  for (size_t i = 0; i < want.size(); ++i) EXPECT_EQ(got[i], float(bf16(want[i]))) << i;
}

// Bytes that the device makes the input of: 255 is 1, the rest of the canvas is 0.5.
TEST(Normalise, AppliesToImagesGivenAsBytes) {
  Network network = network_of(kCfg, options_of(Device::cuda));
  network.plan(2, 5, 3);
  network.parameters().upload();
  network.prepare();
  SamplePlan plan;
  plan.parts = 1;
  plan.part[0].shown = {0, 0, 5, 3};
  plan.part[0].place = {1, 0, 3, 3};
  plan.part[0].window = {0, 0, 1, 1};
  plan.part[0].image_width = plan.part[0].image_height = 1;
  network.set_samples({255, 0, 51}, {plan, plan});
  network.forward();
  const std::vector<float> got = network.read(0), grey = wanted({.5f, .5f, .5f}), image = wanted({1, 0, .2f});
  EXPECT_EQ(std::vector<float>(got.begin(), got.begin() + 3), grey);
  EXPECT_EQ(std::vector<float>(got.begin() + 3, got.begin() + 6), image);
}

}  // namespace
}  // namespace osprey
