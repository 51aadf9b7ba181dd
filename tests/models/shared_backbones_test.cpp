// A backbone that others trained: ResNet-20 for CIFAR-10 from PyTorch, whose logits are recorded.

#include <algorithm>
#include <cmath>
#include <fstream>

#include "core/npy.h"
#include "data/image.h"
#include "models/pytorch.h"
#include "models/weights.h"
#include "tests/data/temporary.h"
#include "tests/models/networks.h"
#include "tests/models/recorded.h"

namespace osprey {
namespace {

// PyTorch's customary normalisation of images, as this network was trained with.
constexpr float kMean[] = {0.485f, 0.456f, 0.406f}, kDeviation[] = {0.229f, 0.224f, 0.225f};

std::vector<std::string> lines_of(const std::string& path) {
  std::ifstream file(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

NetworkOptions with_every_output() {
  NetworkOptions options = inference();
  options.keep_all = true;  // the logits lie before the softmax
  return options;
}

TEST(SharedBackbones, ResNet20GivesTheRecordedLogits) {
  const std::string cfg = OSPREY_SOURCE_DIR "/cfg/resnet20-cifar.cfg";
  const std::string source = shared("backbones/resnet20-12fca82f.npz");
  Temporary folder;
  {
    Network network(read_cfg(cfg), inference());
    network.plan(1, 32, 32);
    EXPECT_EQ(network.parameters().trained_count(), 269722);
    EXPECT_EQ(take_named_arrays(network, read_named_arrays(source), source), int(network.nodes().size()));
    save_weights(folder / "resnet20.weights", network, {});
  }
  constexpr int kBatch = 50;
  Network network(read_cfg(cfg), with_every_output());
  network.plan(kBatch, 32, 32);
  load_weights(folder / "resnet20.weights", network, Coverage::whole);
  network.prepare();

  const std::string images = shared("datasets/cifar10-jpg/");
  const std::vector<std::string> names = lines_of(images + "val.txt"),
                                 classes = lines_of(images + "labels.txt");
  const Array recorded = read_npy(shared("backbones/resnet20-12fca82f_logits_val500.npy"));
  const std::vector<float> want = recorded.floats();
  ASSERT_EQ(recorded.shape, (std::vector<int>{500, 10}));
  ASSERT_EQ(names.size(), 500u);
  int right = 0;
  double worst = 0;
  for (int first = 0; first < 500; first += kBatch) {
    for (int n = 0; n < kBatch; ++n) {
      const std::vector<float> pixels =
          unit_image(load_bytes(images + names[size_t(first + n)], 3, JpegReader::libjpeg)).pixels;
      ASSERT_EQ(pixels.size(), 32u * 32 * 3);
      const View<float> input = network.input();
      for (size_t i = 0; i < pixels.size(); ++i)
        input[n * 3072 + int(i)] = (pixels[i] - kMean[i % 3]) / kDeviation[i % 3];
    }
    network.forward();
    const std::vector<float> logits = network.read(int(network.nodes().size()) - 2);
    for (int n = 0; n < kBatch; ++n) {
      const float* got = &logits[size_t(n) * 10];
      for (int k = 0; k < 10; ++k)
        worst = std::max(worst, double(std::fabs(got[k] - want[size_t(first + n) * 10 + size_t(k)])));
      const std::string& best = classes.at(size_t(std::max_element(got, got + 10) - got));
      right += names[size_t(first + n)].find("/" + best + "/") != std::string::npos;
    }
  }
  EXPECT_LT(worst, 1e-4);  // float sums through 20 layers, of values up to 20
  EXPECT_NEAR(right / 500.0, 0.804, 0.03) << "the record is of 1000 images, of which these are half";
}

}  // namespace
}  // namespace osprey
