#include "layers/heads/head.h"
#include "tests/layers/harness.h"

namespace osprey {
namespace {

// As yolov4-tiny_contrastive.cfg has it.
TEST(Contrastive, PassesItsInputOnAndSaysThatItIsNotTrained) {
  const std::string cfg = "[contrastive]\nclasses=1000\ntemperature=1\ncls_normalizer=1.0\nyolo_layer=-1";
  for (Device device : {Device::cpu, Device::cuda}) {
    SingleLayer layer(cfg, {{1, 1, 2, 3}}, device, false);
    expect_equal(layer.forward({1, -2, 3, 4, 0, 6}), {1, -2, 3, 4, 0, 6});
    ASSERT_TRUE(layer.layer().why_not_trained());
    EXPECT_NE(std::string(layer.layer().why_not_trained()).find("remove this section"), std::string::npos);
    EXPECT_FALSE(layer.layer().head());
  }
}

}  // namespace
}  // namespace osprey
