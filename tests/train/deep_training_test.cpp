// Training and detection on images of six channels of 16 bits, of which the first three are noise: whoever
// read them as pictures of 8 bits, or as RGB, would learn nothing.
#include <gtest/gtest.h>

#include "core/file.h"
#include "models/weights.h"
#include "tests/train/drawn.h"
#include "train/check.h"
#include "train/trainer.h"

namespace osprey {
namespace {

std::string draw_deep_set(const Temporary& folder, int count) {
  const std::string data = draw_set(folder, count);
  std::string list;
  for (int i = 0; i < count; ++i) {
    const std::string name = folder / fmt::format("images/{}", i);
    const Image drawn = load_image(name + ".png");
    Random random(6, Purpose::test, uint64_t(i));
    Image deep(drawn.width, drawn.height, 6);
    for (size_t k = 0; k < deep.pixels.size(); ++k)
      deep.pixels[k] = k % 6 < 3 ? random.uniform() : drawn.pixels[k / 6 * 3 + k % 6 - 3];
    save_array(name + ".npy", rounded(deep, i % 4 ? 2 : 1));  // every fourth is of 8 bits
    list += name + ".npy\n";
  }
  folder.write("train.txt", list);
  return data;
}

class DeepTraining : public testing::Test {
 protected:
  TrainOptions options(int iterations, const std::string& net) {
    TrainOptions o;
    o.cfg = folder_.write("t.cfg", drawn_cfg(iterations, "channels=6\nexposure=1.2\nsaturation=1.5\n" + net));
    o.data = data_;
    o.out = folder_ / "out";
    return o;
  }

  Temporary folder_;
  std::string data_ = draw_deep_set(folder_, 12);
};

// Seconds on one core; what was seen is a mAP of 0.91.
TEST_F(DeepTraining, LearnsFromTheLastChannels) {
  const TrainOptions o = options(200, "batch=12\n");
  const TrainResult result = Trainer(o).run();
  EXPECT_GE(result.measured.score, 0.7f);
  EXPECT_EQ(load_image(o.out + "/t_samples.jpg", 0).channels, 3);
  expect_in("data:image/jpeg", read_file(o.out + "/report.html", "HTML"));
}

// The kernel that makes inputs (emulated), beside the CPU: the same losses, but for the order of sums.
TEST_F(DeepTraining, OnADeviceAsOnTheCpu) {
  std::vector<float> losses[2];
  for (const Device device : {Device::cpu, Device::cuda}) {
    TrainOptions o = options(2, "");
    o.device = device;
    o.map = false;
    Trainer(o).run();
    Network network(read_cfg(o.cfg));
    network.plan(1, 64, 64);
    for (const HistoryPoint& point : load_checkpoint(o.out + "/t_checkpoint.safetensors", network).history)
      losses[device == Device::cpu].push_back(point.loss);
    std::filesystem::remove_all(o.out);
  }
  ASSERT_EQ(losses[0].size(), 2u);
  for (size_t i = 0; i < 2; ++i) EXPECT_NEAR(losses[0][i], losses[1][i], 1e-4f * losses[1][i]);
}

TEST_F(DeepTraining, CheckNamesImagesOfOtherChannels) {
  const TrainOptions o = options(1000, "");
  save_image(folder_ / "images/a.png", Image(64, 64, 3));
  folder_.write("train.txt", read_file(folder_ / "train.txt", "a list") + (folder_ / "images/a.png\n"));
  CheckOptions check;
  check.cfg = o.cfg;
  check.data = o.data;
  int broken = 0;
  for (const Finding& finding : check_training(check))
    if (finding.what == "broken image") {
      ++broken;
      ASSERT_EQ(finding.count, 1);
      expect_in("a.png: the image has 3 channels, but the network takes 6", finding.examples[0]);
    }
  EXPECT_GT(broken, 0);
}

}  // namespace
}  // namespace osprey
