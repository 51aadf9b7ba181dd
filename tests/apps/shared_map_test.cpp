// detector map on recorded detections prints what AlexeyAB's Darknet printed for them, line by line; and what
// a real network finds does not depend on how its convolutions are computed.
#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "core/file.h"
#include "data/text_file.h"
#include "layers/convolution_onednn.h"
#include "layers/simd/outer_product.h"
#include "tests/apps/command.h"
#include "tests/data/temporary.h"

namespace osprey {
namespace {

std::vector<std::string> trimmed_lines(const std::string& text) {
  std::vector<std::string> lines;
  for (const std::string& line : lines_of(text))
    if (const auto inside = trimmed(line); !inside.empty()) lines.emplace_back(inside);
  return lines;
}

std::string shared_folder() {
  const char* shared = std::getenv("OSPREY_SHARED");
  return shared && *shared ? shared : OSPREY_SOURCE_DIR "/../shared";
}

TEST(SharedMap, PrintsWhatDarknetPrinted) {
  const std::string all = shared_folder();
  for (const char* version : {"v1", "v2"})
    for (const char* points : {"0", "11", "101"}) {
      const std::string folder = all + "/evaluations/yoloface-500k-" + version + "__facemask-val-as-face/";
      const Said said = osprey_command({"detector", "map", "--truth", folder + "gt_coco.json", "--detections",
                                        folder + "detections_coco.json", "-points", points});
      EXPECT_EQ(said.status, 0) << said.err;
      const std::string recorded =
          read_file(folder + "alexeyab_detector_map_points" + points + ".txt", "Darknet's output");
      EXPECT_EQ(trimmed_lines(said.out), trimmed_lines(recorded)) << version << ", " << points << " points";
    }
}

// Percentage points: 0.05 where sums are only ordered anew, 0.5 where factors are rounded to 8 bits.
TEST(SharedMap, IsTheSameByEveryAlgorithmOfConvolution) {
  const std::string set = shared_folder() + "/datasets/facemask",
                    network = shared_folder() + "/weights/yolo-fastest-mask/";
  const Temporary folder;
  const std::string data =
      folder.write("faces.data", "format = coco\nroot = " + set +
                                     "\nvalid = val.txt\nvalid_annotations = annotations/custom_val.json\n"
                                     "valid_images = val2017\nbackup = " +
                                     (folder / "out") + "\n");
  const auto map_with = [&](const std::string& option, const std::string& value) {
    const Said said =
        osprey_command({"eval", network + "yolo-fastest.cfg", data, network + "yolo-fastest_best.weights",
                        "--lenient", "--metric", "map", "--json", option, value});
    EXPECT_EQ(said.status, 0) << said.err;
    return said.status == 0 ? 100 * nlohmann::json::parse(said.out).at("mAP").get<double>() : -1;
  };
  const double direct = map_with("--convolution", "direct");
  EXPECT_GT(direct, 25);
  std::vector<const char*> others = {"winograd2", "winograd4", "winograd5", "winograd6"};
  if (OneDnnConvolution::built()) others.push_back("onednn");
  for (const char* algorithm : others)
    EXPECT_NEAR(map_with("--convolution", algorithm), direct, 0.05) << algorithm;
  if (simd::has_bf16_products()) {
    EXPECT_NEAR(map_with("--precision", "bf16"), direct, 0.5);
  }
}

}  // namespace
}  // namespace osprey
