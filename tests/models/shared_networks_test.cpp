// Well-known topologies with random weights: every layer and every output against other engines.
#include <nlohmann/json.hpp>

#include "core/npy.h"
#include "tests/data/temporary.h"
#include "tests/models/recorded.h"

namespace osprey {
namespace {

std::string network_folder(const std::string& name) { return shared("networks/" + name + "/"); }

class SharedNetworks : public testing::TestWithParam<std::tuple<const char*, Device>> {
 protected:
  std::string name_ = std::get<0>(GetParam()), folder_ = network_folder(name_);

  std::unique_ptr<Network> network(float batchnorm_epsilon = 1e-5f) const {
    auto network = recorded_network(folder_ + name_ + "-synth.cfg", folder_ + name_ + "-synth.weights", true,
                                    batchnorm_epsilon, std::get<1>(GetParam()));
    forward_chw(*network, read_npy(folder_ + "input.npy").floats());
    return network;
  }
};

// Relative to the largest value of a layer. AlexeyAB and Debian differ by up to 1e-4 where both run; in
// yolov4, whose random weights let values grow to 600, AlexeyAB and OpenCV differ by 4e-4.
constexpr double kTolerance = 1e-3;

TEST_P(SharedNetworks, EqualsAlexeyABs) {
  const auto ours = network();
  EXPECT_EQ(first_disagreement(*ours, read_json(folder_ + "alexeyab_layers.json"), kTolerance), "");
  int compared = 0;
  for (size_t i = 0; i < ours->nodes().size(); ++i) {
    const Node& node = ours->nodes()[i];
    const std::string type = node.type->name;
    const std::string file = fmt::format("{}alexeyab_L{}_{}.npy", folder_, i, type);
    if (!std::ifstream(file)) continue;
    SCOPED_TRACE(ours->where(int(i)));
    const std::vector<float> want = read_npy(file).floats(), got = in_recorded_order(*ours, int(i));
    EXPECT_LT(largest_difference(got, want), kTolerance * largest_value(want));
    ++compared;
  }
  EXPECT_GT(compared, 0);
}

INSTANTIATE_TEST_SUITE_P(
    shared, SharedNetworks,
    testing::Combine(testing::Values("Gaussian_yolov3_BDD", "darknet19", "densenet201", "enet-coco", "yolov1",
                                     "yolov2-tiny-voc", "yolov3-tiny", "yolov4", "yolov4-tiny",
                                     "yolov7-tiny"),
                     testing::Values(Device::cpu, Device::cuda)),
    [](const auto& info) { return test_name(std::get<0>(info.param), std::get<1>(info.param)); });

// Only pjreddie's Darknet adds layers of different sizes, and only Debian's build of it was recorded. Its
// batch norm is (x - mean) / (sqrt(variance) + 1e-6), which no epsilon gives: ours without any is nearest,
// and off by 1e-6 / sqrt(variance) of a value in each layer.
TEST(SharedNetworks, Resnet18EqualsPjreddies) {
  const std::string folder = network_folder("resnet18");
  for (Device device : {Device::cpu, Device::cuda}) {
    const auto network = recorded_network(folder + "resnet18-synth.cfg", folder + "resnet18-synth.weights",
                                          true, 0.0f, device);
    forward_chw(*network, read_npy(folder + "input.npy").floats());
    EXPECT_EQ(first_disagreement(*network, read_json(folder + "debian_layers.json"), 1e-4), "");
  }
}

}  // namespace
}  // namespace osprey
