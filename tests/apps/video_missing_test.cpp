// A build without FFmpeg's libraries says so where a video is given.
#include <gtest/gtest.h>

#include "models/weights.h"
#include "tests/apps/command.h"
#include "tests/models/networks.h"
#include "tests/train/drawn.h"

namespace osprey {
namespace {

TEST(VideoCommands, SayThatThisBuildReadsNoVideos) {
  const Temporary folder;
  PlannedNetwork network(drawn_cfg(3));
  const std::string data = draw_set(folder, 1), cfg = folder.write("t.cfg", drawn_cfg(3)),
                    weights = folder / "t.weights";
  save_weights(weights, network, {});
  expect_refused({"detect", cfg, weights, "clip.mp4"}, "clip.mp4: this build reads no videos: install");
  expect_refused({"detector", "demo", data, cfg, weights, "clip.mp4"}, "this build reads no videos");
}

}  // namespace
}  // namespace osprey
