// Real weights: heads, layers and boxes against what AlexeyAB's Darknet and OpenCV computed with them.
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "core/file.h"
#include "core/npy.h"
#include "data/image.h"
#include "layers/convolution_onednn.h"
#include "models/detector.h"
#include "models/weights.h"
#include "tests/data/temporary.h"
#include "tests/models/recorded.h"
#include "train/detector.h"

namespace osprey {
namespace {

namespace fs = std::filesystem;

const std::vector<std::string> kModels = {"dronet-car",
                                          "dronetv3-car-ped",
                                          "mbv2-yolo-fastest-v1-voc",
                                          "mbv2-yolov3-nano-voc",
                                          "yolo-fastest-1.0-coco",
                                          "yolo-fastest-1.1-body",
                                          "yolo-fastest-1.1-coco",
                                          "yolo-fastest-mask",
                                          "yolo-lite-coco-trial6",
                                          "yolo-lite-voc-trial3",
                                          "yolo-lite-voc-trial3-nobn",
                                          "yolo-lite-voc-trial5",
                                          "yoloface-500k-v1",
                                          "yoloface-500k-v2",
                                          "yoloface-50k"};

TEST(SharedWeights, AreAllInTheList) {
  std::set<std::string> there;
  for (const auto& entry : fs::directory_iterator(shared("weights-golden")))
    if (fs::exists(entry.path() / "golden.json")) there.insert(entry.path().filename().string());
  EXPECT_EQ(there, std::set<std::string>(kModels.begin(), kModels.end()));
}

class SharedWeights : public testing::TestWithParam<std::tuple<std::string, Device>> {
 protected:
  std::string name_ = std::get<0>(GetParam()), folder_ = shared("weights/" + name_ + "/"),
              golden_folder_ = shared("weights-golden/" + name_ + "/");
  Device device_ = std::get<1>(GetParam());
  nlohmann::json golden_ = read_json(golden_folder_ + "golden.json");
  std::string cfg_ = folder_ + golden_["cfg"].get<std::string>(),
              weights_ = folder_ + golden_["weights"].get<std::string>();

  // The picture that all engines were given, resized beforehand; empty where only the boxes were kept.
  std::string blob(const std::string& image) const {
    const std::string path =
        shared("weights-golden/_blobs/" + image + "_" + std::to_string(golden_["input"]["width"].get<int>()) +
               "x" + std::to_string(golden_["input"]["height"].get<int>()) + "_cvstretch.png");
    return fs::exists(path) ? path : "";
  }

  std::vector<float> recorded(const std::string& name) const {
    return read_npy(golden_folder_ + name).floats();
  }

  void give_blob(Network& network, const std::string& image) const {
    const Image pixels = load_image(blob(image));
    const View<float> input = network.input();
    ASSERT_EQ(pixels.pixels.size(), size_t(input.size()));
    std::copy(pixels.pixels.begin(), pixels.pixels.end(), input.begin());
  }
  void run_on_blob(Network& network, const std::string& image) const {
    give_blob(network, image);
    network.forward();
  }
};

// Both sides add in float, in different orders, through up to 130 layers; the heads' values are below 25.
constexpr double kTolerance = 2e-3;

TEST_P(SharedWeights, HeadsEqualAlexeyABs) {
  const auto network = recorded_network(cfg_, weights_, true, 1e-5f, device_);
  run_on_blob(*network, "dog");
  EXPECT_EQ(first_disagreement(*network, read_json(golden_folder_ + "dog_layers_alexeyab.json"), 2e-4), "");
  for (const nlohmann::json& head : golden_["heads"]) {
    const int i = head["layer"];
    SCOPED_TRACE(network->where(i));
    const std::string type = head["type"];
    const std::vector<float> ours = in_recorded_order(*network, i);
    EXPECT_LT(largest_difference(ours, recorded("dog_alexeyab_" + type + std::to_string(i) + ".npy")),
              kTolerance);
  }
}

// OpenCV's batch norm has an epsilon of its own, 1e-6.
TEST_P(SharedWeights, OutputsBeforeTheHeadsEqualOpenCVs) {
  const auto network = recorded_network(cfg_, weights_, true, 1e-6f, device_);
  run_on_blob(*network, "dog");
  for (const nlohmann::json& head : golden_["heads"]) {
    const int i = head["conv_layer"];
    SCOPED_TRACE(network->where(i));
    const std::vector<float> ours = in_recorded_order(*network, i);
    EXPECT_LT(largest_difference(ours, recorded("dog_opencv_prehead" + std::to_string(i) + ".npy")),
              kTolerance);
  }
}

struct Found {
  int class_id;
  float score;
  Box box;
};

std::vector<Found> found_by(const nlohmann::json& boxes) {
  std::vector<Found> all;
  for (const nlohmann::json& b : boxes)
    all.push_back({b["class_id"], b["prob"], corners(CentreBox{b["cx"], b["cy"], b["w"], b["h"]})});
  return all;
}

std::string text(const Found& f) {
  return fmt::format("class {} {:.4f} at {:.4f},{:.4f},{:.4f},{:.4f}", f.class_id, f.score, f.box.x1,
                     f.box.y1, f.box.x2, f.box.y2);
}

// One to one: the same class, score within 0.005 and IoU over 0.98. Only a box at the threshold itself (0.25)
// may be on one side alone.
void expect_same(const std::vector<Detection>& ours, std::vector<Found> theirs, float width, float height) {
  for (const Detection& d : ours) {
    const Found mine{d.class_id, d.score, scaled(d.box, 1 / width, 1 / height)};
    const auto twin = std::find_if(theirs.begin(), theirs.end(), [&](const Found& f) {
      return f.class_id == mine.class_id && std::fabs(f.score - mine.score) < 0.005f &&
             iou(f.box, mine.box) > 0.98f;
    });
    if (twin != theirs.end())
      theirs.erase(twin);
    else if (mine.score > 0.255f)
      ADD_FAILURE() << "only ours: " << text(mine);
  }
  for (const Found& f : theirs)
    if (f.score > 0.255f) ADD_FAILURE() << "only theirs: " << text(f);
}

TEST_P(SharedWeights, BoxesOnTheSamePixelsEqualAlexeyABs) {
  const auto network = recorded_network(cfg_, weights_, false, 1e-5f, device_);
  int compared = 0;
  for (const auto& [name, image] : golden_["images"].items()) {
    if (blob(name).empty()) continue;
    SCOPED_TRACE(name);
    give_blob(*network, name);
    Detector detector(*network, {0.25f, 0.45f, {}});
    expect_same(detector.run()[0], found_by(image["engines"]["alexeyab_same_blob"]), 1, 1);
    ++compared;
  }
  EXPECT_GT(compared, 0);
}

// From the image file on: reading, resizing, network, boxes.
TEST_P(SharedWeights, BoxesFromTheImageFileEqualAlexeyABs) {
  const auto network = recorded_network(cfg_, weights_, false, 1e-5f, device_);
  for (const auto& [name, recorded] : golden_["images"].items()) {
    const ByteImage image = load_bytes(shared(recorded["file"]));
    EXPECT_EQ(image.width, recorded["width"].get<int>());
    EXPECT_EQ(image.height, recorded["height"].get<int>());
    for (const auto& [fit, engine] : {std::pair(Fit::stretch, "alexeyab_native_stretch"),
                                      std::pair(Fit::letterbox, "alexeyab_native_letterbox")}) {
      SCOPED_TRACE(name + std::string(" ") + engine);
      const auto ours = ImageDetector(*network, {{0.25f, 0.45f, {}}, fit}).detect({&image});
      expect_same(ours[0], found_by(recorded["engines"][engine]), float(image.width), float(image.height));
    }
  }
}

TEST_P(SharedWeights, AreWrittenBackToTheSameBytes) {
  const Temporary folder;
  NetworkOptions options;
  options.build.device = device_;
  Network network(read_cfg(cfg_), options);
  network.plan(1, network.net().width, network.net().height);
  const LoadedWeights loaded = load_weights(weights_, network, Coverage::whole);
  EXPECT_TRUE(loaded.complete);
  save_weights(folder / "again.weights", network, loaded.header);
  EXPECT_TRUE(read_file(weights_, "weights") == read_file(folder / "again.weights", "weights"));
}

class SharedWeightsOnTheCpu : public SharedWeights {};

// The heads of all layers as they are, and the boxes where convolutions do what follows them, too.
TEST_P(SharedWeightsOnTheCpu, TellTheSameByEveryAlgorithmOfConvolution) {
  for (int a = int(ConvolutionAlgorithm::reference); a < int(std::size(kConvolutionAlgorithms)); ++a) {
    const auto algorithm = ConvolutionAlgorithm(a);
    if (algorithm == ConvolutionAlgorithm::onednn && !OneDnnConvolution::built()) continue;
    SCOPED_TRACE(kConvolutionAlgorithms[a]);
    const auto whole = recorded_network(cfg_, weights_, true, 1e-5f, device_, algorithm);
    run_on_blob(*whole, "dog");
    EXPECT_EQ(first_disagreement(*whole, read_json(golden_folder_ + "dog_layers_alexeyab.json"), 2e-4), "");
    const auto network = recorded_network(cfg_, weights_, false, 1e-5f, device_, algorithm);
    give_blob(*network, "dog");
    Detector detector(*network, {0.25f, 0.45f, {}});
    expect_same(detector.run()[0], found_by(golden_["images"]["dog"]["engines"]["alexeyab_same_blob"]), 1, 1);
  }
}

INSTANTIATE_TEST_SUITE_P(shared, SharedWeightsOnTheCpu,
                         testing::Combine(testing::ValuesIn(kModels), testing::Values(Device::cpu)),
                         [](const auto& info) {
                           return test_name(std::get<0>(info.param), std::get<1>(info.param));
                         });

INSTANTIATE_TEST_SUITE_P(shared, SharedWeights,
                         testing::Combine(testing::ValuesIn(kModels),
                                          testing::Values(Device::cpu, Device::cuda)),
                         [](const auto& info) {
                           return test_name(std::get<0>(info.param), std::get<1>(info.param));
                         });

class SharedBackbones : public testing::TestWithParam<std::pair<const char*, const char*>> {};

TEST_P(SharedBackbones, LoadUpToTheirEndAndAreWrittenBackToTheSameBytes) {
  const auto [file, cfg] = GetParam();
  const std::string path = shared(std::string("weights/_partial/") + file);
  const Temporary folder;
  Network network(read_cfg(shared(std::string("weights/") + cfg)));
  network.plan(1, network.net().width, network.net().height);
  network.parameters().initialise(1);
  const LoadedWeights loaded = load_weights(path, network, Coverage::backbone);
  EXPECT_FALSE(loaded.complete);
  save_weights(folder / "again", network, loaded.header, loaded.layers);
  EXPECT_TRUE(read_file(path, "weights") == read_file(folder / "again", "weights"));
  // Where a whole network is asked for, half of one is an error.
  const std::string message = error_of([&] { load_weights(path, network, Coverage::whole); });
  expect_in("a backbone to start training from, not a whole network", message);
}

INSTANTIATE_TEST_SUITE_P(
    shared, SharedBackbones,
    testing::Values(std::pair("MobileNetV2-YOLO-Fastest.conv.57",
                              "mbv2-yolo-fastest-v1-voc/MobileNetV2-YOLO-Fastest-voc.cfg"),
                    std::pair("rockcarry-yolo-fastest.conv.109", "yolo-fastest-1.0-coco/yolo-fastest.cfg"),
                    std::pair("yolo-fastest.conv.109", "yolo-fastest-1.0-coco/yolo-fastest.cfg")),
    [](const auto& info) { return "backbone_" + std::to_string(info.index); });

TEST(SharedBadWeights, AreRefusedInOneLineThatSaysWhatTheyAre) {
  Network network(read_cfg(shared("weights/yolo-fastest-1.0-coco/yolo-fastest.cfg")));
  network.plan(1, 320, 320);
  int refused = 0;
  for (const auto& entry : fs::directory_iterator(shared("weights/_bad"))) {
    const std::string path = entry.path().string();
    const std::string message = error_of([&] { load_weights(path, network, Coverage::backbone); });
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    expect_in(path, message);
    expect_in(path.find("lfs-pointer") != std::string::npos ? "Git LFS pointer"
              : path.find("text-link") != std::string::npos ? "is text"
                                                            : "damaged by being treated as UTF-8 text",
              message);
    ++refused;
  }
  EXPECT_EQ(refused, 3);
}

}  // namespace
}  // namespace osprey
