// Those files in cfg/ that are Darknet's networks: as long weights and as many operations as Darknet's own
// files have.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>

#include "models/weights.h"
#include "tests/data/temporary.h"
#include "tests/models/networks.h"

namespace osprey {
namespace {

// 9k.tree is Darknet's. A tree of as many classes, ten children each, is as good for the sizes.
std::string tree_file() {
  static const Temporary folder;
  std::string lines;
  for (int id = 0; id < 9418; ++id) lines += fmt::format("n{} {}\n", id, id / 10 - 1);
  return folder.write("9k.tree", lines);
}

std::vector<Section> sections_of(const std::string& name) {
  std::vector<Section> sections = read_cfg(OSPREY_SOURCE_DIR "/cfg/" + name + ".cfg");
  for (Section& section : sections)
    for (Entry& entry : section.entries)
      if (entry.key == "tree") entry.value = tree_file();
  return sections;
}

struct File {
  const char* name;
  int64_t bytes;  // of the .weights file that Darknet writes
  double gflops;  // that Darknet prints
  int layers;
};

// Darknet counts the operations of convolutions, which are nearly all, and of pools and shortcuts a bit other
// than we do. pjreddie's, for the ResNets and YOLO v1, counts no others.
constexpr File kFiles[] = {
    {"yolov1", 789312992, 40.155, 32},
    {"yolov1-tiny", 108399820, 3.185, 16},
    {"yolov2", 203934264, 62.961, 32},
    {"yolov2-voc", 202704264, 29.371, 32},
    {"yolov2-tiny", 44948600, 5.412, 16},
    {"yolov2-tiny-voc", 63471560, 6.977, 16},
    {"yolo9000", 195230024, 49.080, 25},
    {"yolov3", 248007048, 65.879, 107},
    {"yolov3-5l", 249599104, 79.427, 131},
    {"gaussian-yolov3", 246585408, 99.066, 107},
    {"yolov3-voc", 246714648, 65.442, 107},
    {"yolov3-openimages", 259229388, 148.812, 107},
    {"yolov3-spp", 252209544, 141.531, 114},
    {"yolov3-tiny", 35434956, 5.571, 24},
    {"yolov3-tiny-prn", 19759052, 3.467, 28},
    {"yolov4", 257717640, 128.459, 162},
    {"yolov4-sam-mish", 263251336, 92.706, 168},  // gigaflops: YOLOv4's 91.095 and three convolutions
    {"yolov4-sam-mish-csp-reorg-bfm", 246251912, 84.320, 216},
    {"cd53paspp-gamma", 257717640, 91.095, 162},
    {"yolov4-tiny", 24251276, 6.910, 38},
    {"yolov4-tiny-3l", 25336200, 17.741, 45},
    {"yolov4-csp", 211944840, 77.003, 175},
    {"yolov4-csp-swish", 211944840, 120.317, 175},
    {"yolov4x-mish", 399388168, 221.986, 203},
    {"yolov4-csp-s-mish", 33164680, 20.923, 111},
    {"yolov4-p5", 283669892, 326.809, 243},
    {"yolov4-p6", 510868180, 717.190, 304},
    {"cspx-p7-mish", 1106222308, 1600.719, 375},
    {"yolov7", 147898248, 104.580, 143},
    {"yolov7x", 285638760, 189.760, 159},
    {"yolov7-tiny", 24967560, 5.802, 99},
    {"csresnext50-panet-spp", 228123400, 71.344, 138},
    {"csresnext50-panet-spp-original-optimal", 228123400, 100.606, 138},
    {"resnet152-trident", 262316084, 241.536, 291},
    {"enet-coco", 19233100, 3.731, 146},
    {"yolo-fastest-1.1", 1384268, 0.252, 131},
    {"darknet", 29293940, 0.967, 16},
    {"darknet-tiny", 4185972, 0.985, 22},
    {"darknet19", 83427124, 7.295, 26},
    {"darknet53", 166582580, 18.576, 78},
    {"darknet19-448", 83427124, 22.340, 26},
    {"darknet53-448", 166582580, 56.884, 78},
    {"darknet9000", 117940924, 25.719, 27},
    {"csdarknet53-omega", 110710068, 13.071, 108},
    {"cifar", 30748220, 1.625, 17},
    {"extraction", 93821620, 8.521, 27},
    {"alexnet", 249513396, 2.154, 14},
    {"densenet201", 68825780, 10.850, 305},
    {"efficientnet-b0", 19560180, 0.915, 136},
    {"efficientnet-lite3", 30091444, 3.361, 117},
    {"resnet18-darknet", 46094004, 4.688, 29},
    {"resnet34-darknet", 86556340, 9.520, 53},
    {"resnet50-darknet", 91303604, 9.734, 69},
    {"resnet101-darknet", 167481012, 19.682, 137},
    {"resnet152", 230239924, 29.372, 205},
    {"resnext50", 89251508, 10.102, 69},
    {"resnext101-32x4d", 166556852, 18.874, 137},
    {"resnext152-32x4d", 226923700, 28.139, 205},
};

class DarknetFiles : public testing::TestWithParam<File> {};

TEST_P(DarknetFiles, HaveTheSizeOfDarknets) {
  const File& file = GetParam();
  Network network(sections_of(file.name), inference());
  network.plan(1, network.net().width, network.net().height);
  EXPECT_EQ(int(network.nodes().size()), file.layers);
  EXPECT_EQ(weights_bytes(network, {}), file.bytes);
  double flops = 0;
  for (const Node& node : network.nodes())
    if (const std::string type = node.type->name; type != "connected" && type != "local")
      flops += node.layer->summary().flops;
  EXPECT_NEAR(flops / 1e9, file.gflops, 0.003 * file.gflops + 0.005);
}

std::string name_of(const testing::TestParamInfo<File>& info) {
  std::string name = info.param.name;
  for (char& c : name)
    if (c == '-' || c == '.') c = '_';
  return name;
}

INSTANTIATE_TEST_SUITE_P(cfg, DarknetFiles, testing::ValuesIn(kFiles), name_of);

// A step of training at a small size: detectors with two boxes, a classifier with a class.
TEST(DarknetFilesTraining, GradientsReachTheFirstLayer) {
  for (const char* name : {"yolov3-tiny-prn", "yolov7-tiny", "enet-coco", "resnet18-darknet", "yolo9000",
                           "resnet152-trident", "yolov4-sam-mish-csp-reorg-bfm"}) {
    SCOPED_TRACE(name);
    Network network(sections_of(name));
    network.plan(2, 64, 64);
    network.parameters().initialise(3);
    network.parameters().zero_gradients();
    fill_randomly(network.input(), 4);
    if (network.truth_capacity() > 0) put_truths(network, 2, 80);
    if (network.targets()) network.targets()[7] = network.targets()[1007] = 1;
    network.forward();
    network.backward();
    double loss = 0, gradient = 0;
    for (const LossReport& report : network.losses()) loss += report.loss;
    EXPECT_TRUE(std::isfinite(loss) && loss > 0) << loss;
    const ParameterSpan& first = network.parameters().spans()[4];  // the kernels of the first convolution
    for (float g : network.parameters().gradient(first)) gradient += std::fabs(g);
    EXPECT_TRUE(std::isfinite(gradient) && gradient > 0) << gradient;
  }
}

}  // namespace
}  // namespace osprey
