// The cfg files of SSD: what they are known by.
#include <gtest/gtest.h>

#include "models/network.h"

namespace osprey {
namespace {

struct Known {
  const char* file;
  int64_t parameters;
  int boxes, classes;
};

// The parameters of SSD300 are those of torchvision's ssd300_vgg16 with 91 classes, background included;
// SSD512's the sum over its layers, by hand. The boxes are those of the paper's code: 38x38x4 + 19x19x6 + ...
TEST(SsdFiles, HaveTheParametersAndBoxesOfTheirModels) {
  for (const Known& known :
       {Known{"ssd300-vgg16.cfg", 35641826, 8732, 90}, Known{"ssd512.cfg", 27188676, 24564, 20},
        Known{"ssd-tiny.cfg", 571088, 40 * 32 * 4 + 20 * 16 * 4 + 10 * 8 * 4, 3}}) {
    SCOPED_TRACE(known.file);
    NetworkOptions options;
    options.build.training = false;
    Network network(read_cfg(std::string(OSPREY_SOURCE_DIR "/cfg/") + known.file), options);
    network.plan(1, network.net().width, network.net().height);
    EXPECT_EQ(int64_t(network.parameters().count()), known.parameters);
    ASSERT_EQ(network.heads().size(), 1u);
    EXPECT_EQ(network.nodes().back().output, (Shape{1, 1, known.boxes, 5 + known.classes}));
  }
}

}  // namespace
}  // namespace osprey
