// Real detections of two networks, with the figures that pycocotools and Darknet's `detector map` gave for
// them.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "models/weights.h"
#include "tests/data/temporary.h"
#include "train/detector.h"
#include "train/metrics/coco.h"
#include "train/metrics/darknet_map.h"
#include "train/metrics/recorded.h"

namespace osprey {
namespace {

constexpr const char* kSets[] = {"yoloface-500k-v1__facemask-val-as-face",
                                 "yoloface-500k-v2__facemask-val-as-face"};

std::string shared(const std::string& path) {
  const char* folder = std::getenv("OSPREY_SHARED");
  return std::string(folder && *folder ? folder : OSPREY_SOURCE_DIR "/../shared") + "/" + path;
}

std::string folder_of(const std::string& set) { return shared("evaluations/" + set); }

// Of a folder of weights the file that ends so.
std::string file_of(const std::string& network, const std::string& extension) {
  for (const auto& entry : std::filesystem::directory_iterator(shared("weights/" + network)))
    if (entry.path().extension() == extension) return entry.path().string();
  ADD_FAILURE() << "no " << extension << " of " << network;
  return {};
}

Recorded recorded_of(const std::string& set) {
  return read_recorded(folder_of(set) + "/gt_coco.json", folder_of(set) + "/detections_coco.json");
}

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file) << path;
  return {std::istreambuf_iterator<char>(file), {}};
}

// The number after a key in Darknet's output.
double after(const std::string& text, const std::string& key) {
  const size_t at = text.find(key);
  if (at != std::string::npos) return std::strtod(text.c_str() + at + key.size(), nullptr);
  ADD_FAILURE() << "no " << key << " in " << text;
  return NAN;
}

class SharedMetrics : public testing::TestWithParam<const char*> {};

// pycocotools prints doubles; both sum the same terms, in another order.
TEST_P(SharedMetrics, coco_is_that_of_pycocotools) {
  const Recorded r = recorded_of(GetParam());
  const CocoMetrics m = coco_metrics(r.truths, r.detections, int(r.class_names.size()));
  const auto want = nlohmann::json::parse(text_of(folder_of(GetParam()) + "/pycocotools.json"));
  const std::pair<const char*, double> got[] = {
      {"AP", m.ap},         {"AP50", m.ap50},    {"AP75", m.ap75},     {"APs", m.ap_small},
      {"APm", m.ap_medium}, {"APl", m.ap_large}, {"AR1", m.ar1},       {"AR10", m.ar10},
      {"AR100", m.ar100},   {"ARs", m.ar_small}, {"ARm", m.ar_medium}, {"ARl", m.ar_large}};
  for (const auto& [name, value] : got) EXPECT_NEAR(value, want["stats"][name].get<double>(), 1e-6) << name;
  for (size_t k = 0; k < r.class_names.size(); ++k) {
    const auto& of_class = want["per_class"][r.class_names[k]];
    EXPECT_NEAR(m.per_class[k], of_class["AP"].get<double>(), 1e-6);
    EXPECT_NEAR(m.per_class50[k], of_class["AP50"].get<double>(), 1e-6);
  }
}

// Darknet prints six digits of mAP, two of the percentages. It computes IoU in floats from normalised boxes,
// which the recorded pixels repeat to six digits: 0.01 points are far above that.
TEST_P(SharedMetrics, map_is_that_of_darknet) {
  const Recorded r = recorded_of(GetParam());
  for (int points : {0, 11, 101}) {
    const std::string name = "/alexeyab_detector_map_points" + std::to_string(points) + ".txt";
    const std::string text = text_of(folder_of(GetParam()) + name);
    const std::string at_confidence =
        text.substr(text.find("for conf_thresh"));  // TP is there per class, too
    const DarknetMap m = darknet_map(r.truths, r.detections, int(r.class_names.size()), {.points = points});
    EXPECT_NEAR(m.map, after(text, "mAP@0.50) ="), 0.51e-6) << points << " points";
    EXPECT_EQ(m.detections, after(text, "detections_count ="));
    EXPECT_EQ(m.truths, after(text, "unique_truth_count ="));
    EXPECT_EQ(m.true_positives, after(at_confidence, "TP ="));
    EXPECT_EQ(m.false_positives, after(at_confidence, "FP ="));
    EXPECT_EQ(m.false_negatives, after(text, "FN ="));
    EXPECT_NEAR(m.precision, after(text, "precision ="), 0.0051);
    EXPECT_NEAR(m.recall, after(text, "recall ="), 0.0051);
    EXPECT_NEAR(m.f1, after(text, "F1-score ="), 0.0051);
    EXPECT_NEAR(100 * m.average_iou, after(text, "average IoU ="), 0.0051);
  }
}

// From our own detections, where sums in another order may move a box over a threshold: 0.3 points.
TEST_P(SharedMetrics, map_of_our_detections_is_that_of_darknet) {
  const std::string set = GetParam(), network = set.substr(0, set.find("__"));
  Temporary folder;
  const DataFile data = read_data_file(
      folder.write("faces.data", "format = coco\nvalid_annotations = " + folder_of(set) +
                                     "/gt_coco.json\nimages = " + shared("datasets/facemask") + "\n"));
  const Dataset faces = load_dataset(data, Split::valid);
  NetworkOptions options;
  options.build.training = false;
  options.lenient = true;
  Network detector(read_cfg(file_of(network, ".cfg")), options);
  detector.plan(1, detector.net().width, detector.net().height);
  load_weights(file_of(network, ".weights"), detector, Coverage::whole);
  detector.prepare();
  const Evaluated found = detect_all(detector, faces, map_options(fit_of(detector.net())));
  const double want = after(text_of(folder_of(set) + "/alexeyab_detector_map_points0.txt"), "mAP@0.50) =");
  EXPECT_NEAR(darknet_map(found.truths, found.detections, 1).map, want, 0.003);
}

INSTANTIATE_TEST_SUITE_P(shared_metrics, SharedMetrics, testing::ValuesIn(kSets), [](const auto& info) {
  return std::string(info.param).substr(9, 7).replace(4, 1, "_");
});

}  // namespace
}  // namespace osprey
