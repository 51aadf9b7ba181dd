// detector map on recorded detections prints what AlexeyAB's Darknet printed for them, line by line.
#include <gtest/gtest.h>

#include <cstdlib>

#include "core/file.h"
#include "data/text_file.h"
#include "tests/apps/command.h"

namespace osprey {
namespace {

std::vector<std::string> trimmed_lines(const std::string& text) {
  std::vector<std::string> lines;
  for (const std::string& line : lines_of(text))
    if (const auto inside = trimmed(line); !inside.empty()) lines.emplace_back(inside);
  return lines;
}

TEST(SharedMap, PrintsWhatDarknetPrinted) {
  const char* shared = std::getenv("OSPREY_SHARED");
  const std::string all = std::string(shared && *shared ? shared : OSPREY_SOURCE_DIR "/../shared");
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

}  // namespace
}  // namespace osprey
