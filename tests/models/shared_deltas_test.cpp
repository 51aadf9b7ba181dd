// Whole networks up to their heads: what each hands on in the first iteration, against Darknet.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>

#include "core/npy.h"
#include "data/image.h"
#include "models/network.h"
#include "models/weights.h"

namespace osprey {
namespace {

std::string traces() {
  const char* shared = std::getenv("OSPREY_SHARED");
  return std::string(shared ? shared : OSPREY_SOURCE_DIR "/../shared") + "/training-traces/";
}

// Every image of a batch is the one of the traces.
void fill(Network& network) {
  const Image image = load_image(traces() + "image.png");
  const View<float> input = network.input();
  ASSERT_EQ(input.size() % image.pixels.size(), 0u);
  for (int i = 0; i < input.size(); ++i) input[i] = image.pixels[i % image.pixels.size()];
  std::ifstream labels(traces() + "image.txt");
  float class_id, x, y, w, h;
  for (int t = 0; labels >> class_id >> x >> y >> w >> h; ++t)
    for (int n = 0; n < input.shape.n; ++n) {
      const float values[] = {x, y, w, h, class_id};
      for (int e = 0; e < 5; ++e) network.truths().boxes(n, 0, t, e) = values[e];
      network.truths().counts[n] = t + 1;
    }
}

class SharedDeltas : public testing::TestWithParam<std::pair<const char*, double>> {};

TEST_P(SharedDeltas, AreThoseOfDarknet) {
  const auto [family, printed] = GetParam();
  const std::string folder = traces() + family + "-batch2-subdivisions1-iterations1/";
  Network network(read_cfg(folder + "net.cfg"));
  network.plan(2, 96, 64);
  load_weights(folder + "init.weights", network, Coverage::whole);
  fill(network);
  network.forward();
  double cost = 0;
  int heads = 0;
  for (size_t i = 0; i < network.nodes().size(); ++i) {
    const Node& node = network.nodes()[i];
    const Head* head = node.layer->head();
    if (!head) continue;
    SCOPED_TRACE(network.where(int(i)));
    cost += network.losses()[i].loss;
    ++heads;
    const std::vector<float> wanted = read_npy(folder + "delta_layer" + std::to_string(i) + ".npy").floats();
    const View<const float> delta = head->delta();
    ASSERT_EQ(wanted.size(), size_t(delta.size()));
    double worst = 0;
    for (int k = 0; k < delta.size(); ++k) {
      const auto [n, h, w, c] = delta.shape.pixel(k);
      const int nchw = ((n * delta.shape.c + c) * delta.shape.h + h) * delta.shape.w + w;
      worst = std::max(worst, double(std::fabs(delta[k] - wanted[nchw])));
    }
    EXPECT_LT(worst, 2e-5);  // both sides in float through a dozen layers with batch norm
  }
  // Darknet's cost is the mean over the heads, and what it prints is that over the images of the iteration.
  EXPECT_NEAR(cost / heads / 2, printed, 1e-5 * printed);
}

INSTANTIATE_TEST_SUITE_P(shared, SharedDeltas,
                         testing::Values(std::pair("yolov2", 3.535289), std::pair("yolov3", 55.175026),
                                         std::pair("yolov4", 51.445763)),
                         [](const auto& info) { return info.param.first; });

}  // namespace
}  // namespace osprey
