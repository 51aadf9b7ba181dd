// The files in cfg/: as many trained parameters as their papers' and PyTorch's networks have.
#include <gtest/gtest.h>

#include "tests/models/networks.h"

namespace osprey {
namespace {

TEST(CfgFiles, HaveThePublishedNumbersOfParameters) {
  // VGG-16 and ResNet-101 would take half a gigabyte each.
  for (const auto& [name, parameters] : {std::pair<const char*, int64_t>{"resnet18", 11689512},
                                         {"resnet34", 21797672},
                                         {"resnet50", 25557032},
                                         {"resnet20-cifar", 269722}}) {
    SCOPED_TRACE(name);
    Network network(read_cfg(OSPREY_SOURCE_DIR "/cfg/" + std::string(name) + ".cfg"), inference());
    network.plan(1, network.net().width, network.net().height);
    EXPECT_EQ(network.parameters().trained_count(), parameters);
  }
}

// torchvision's, with its 91 classes, detectron2's C4, with 80, and YOLOX-s'; YOLOv3's with fewer classes.
// Group norm in the towers of ATSS, PAA and OTA, and their scales, make 8 * 512 + 5. SSD300's are counted in
// ssd_test.cpp. A small input needs less memory.
TEST(CfgFiles, DetectorsHaveThePublishedNumbersOfParameters) {
  for (const auto& [name, parameters] : {std::pair<const char*, int64_t>{"retinanet-r50-fpn", 34014999},
                                         {"faster-rcnn-r50-fpn", 41755286},
                                         {"faster-rcnn-r50-c4", 33791644},
                                         {"atss-r50-fpn", 32244250},
                                         {"paa-r50-fpn", 32244250},
                                         {"ota-r50-fpn", 32244250},
                                         {"yolox-like", 8968255},
                                         {"yolov3-nwd", 61561429}}) {
    SCOPED_TRACE(name);
    Network network(read_cfg(OSPREY_SOURCE_DIR "/cfg/" + std::string(name) + ".cfg"), inference());
    network.plan(1, 256, 256);
    EXPECT_EQ(network.parameters().trained_count(), parameters);
  }
}

// Nine tenths of Fast R-CNN's parameters are those of two layers of 4096, for which a test should not need
// the memory: of 64 here, with as many less as that says.
TEST(CfgFiles, FastRcnnHasThePublishedNumberOfParameters) {
  std::vector<Section> sections = read_cfg(OSPREY_SOURCE_DIR "/cfg/fast-rcnn.cfg");
  int narrowed = 0;
  for (Section& section : sections)
    for (Entry& entry : section.entries)
      if (entry.key == "output" && entry.value == "4096") entry.value = "64", ++narrowed;
  ASSERT_EQ(narrowed, 2);
  Network network(sections, inference());
  network.plan(1, 256, 256);
  const auto head = [](int64_t width) {
    return width * (7 * 7 * 512 + 1) + width * (width + 1) + (21 + 84) * (width + 1);
  };
  EXPECT_EQ(network.parameters().trained_count() - head(64) + head(4096), 134690729);
}

// Frozen batch norm is made of constants: PyTorch has them as buffers, not as parameters.
TEST(CfgFiles, FrozenBatchNormHasNoParameters) {
  const std::string cfg = "[net]\nwidth=8\nheight=8\n[convolutional]\nfilters=4\nsize=3\nbatch_normalize=1\n";
  Network trained = network_of(cfg), frozen = network_of(cfg + "frozen=1\n");
  trained.plan(1, 8, 8);
  frozen.plan(1, 8, 8);
  EXPECT_EQ(trained.parameters().trained_count(), 4 * 27 + 8);
  EXPECT_EQ(frozen.parameters().trained_count(), 4 * 27);
  EXPECT_EQ(frozen.parameters().count(), trained.parameters().count());  // one .weights file serves both
}

}  // namespace
}  // namespace osprey
