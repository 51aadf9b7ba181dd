// Small networks with Darknet's rarer heads: gradients of every parameter by the kernels are those by the
// loops, and plain gradient descent learns two images by heart.
#include <gtest/gtest.h>

#include <cmath>

#include "models/detections.h"
#include "tests/data/temporary.h"
#include "tests/models/networks.h"

namespace osprey {
namespace {

const std::string kNet = "[net]\nbatch=2\nwidth=32\nheight=32\nchannels=3\n";
const std::string kBody =
    "[convolutional]\nbatch_normalize=1\nfilters=8\nsize=3\nstride=4\npad=1\nactivation=leaky\n";

struct HeadCase {
  const char* name;
  std::string layers;
  float rate;
};
void PrintTo(const HeadCase& c, std::ostream* out) { *out << c.name; }

std::vector<HeadCase> cases() {
  static const Temporary folder;  // the networks read it as long as they live
  static const std::string tree = folder.write("7.tree", "a -1\nb -1\nc 0\nd 0\ne 0\nf 3\ng 3\n");
  const auto rows = [](int channels) {
    return kBody + "[convolutional]\nfilters=" + std::to_string(channels) + "\nsize=1\nactivation=linear\n";
  };
  return {
      {"detection",
       kBody + "[connected]\noutput=48\nactivation=linear\n"
               "[detection]\nside=2\nnum=2\nclasses=2\nsqrt=1\nrescore=1\ncoord_scale=5\nnoobject_scale=.5\n",
       .002f},
      {"gaussian",
       rows(22) + "[Gaussian_yolo]\nclasses=2\nnum=2\nanchors=8,8, 12,10\niou_loss=giou\niou_normalizer=.5\n"
                  "uc_normalizer=.2\nmax_delta=2\n",
       .002f},
      {"tree", rows(24) + "[region]\nclasses=7\nnum=2\nanchors=2,2, 3,2\nbias_match=1\ntree=" + tree + "\n",
       .01f},
      {"softmax_tree",
       kBody + "[avgpool]\n[connected]\noutput=7\nactivation=linear\n[softmax]\ntree=" + tree +
           "\n[cost]\ntype=masked\n",
       .02f}};
}

class DarknetHead : public testing::TestWithParam<HeadCase> {
 protected:
  PlannedNetwork network(Device device) const {
    NetworkOptions options;
    options.build.device = device;
    return PlannedNetwork(kNet + GetParam().layers, 2, 32, 32, options);
  }
};

// The loss of a pass over the same two images, whose gradients are left in the parameters.
double pass(Network& network) {
  if (network.heads().empty()) {
    const View<float> targets = network.targets();  // the leaves d and b; the tree makes more of them
    std::fill(targets.begin(), targets.end(), 0.0f);
    targets[3] = targets[7 + 1] = 1;
  } else {
    put_truths(network, 3, 2);
  }
  network.step().seen = 20000;
  network.parameters().zero_gradients();
  network.clear_losses();
  fill_randomly(network.input(), 4);
  network.forward();
  network.backward();
  double sum = 0;
  for (const LossReport& report : network.losses()) sum += report.loss;
  return sum;
}

TEST_P(DarknetHead, KernelsSendTheGradientsOfTheLoops) {
  PlannedNetwork loops = network(Device::cpu), kernels = network(Device::cuda);
  const double want = pass(loops);
  EXPECT_NEAR(pass(kernels), want, 1e-4 * want);
  kernels.parameters().download_gradients();
  for (const ParameterSpan& span : loops.parameters().spans()) {
    if (span.info.role == Role::statistic) continue;
    SCOPED_TRACE(span.name);
    const View<float> a = loops.parameters().gradient(span), b = kernels.parameters().gradient(span);
    for (int i = 0; i < a.size(); ++i)  // sums of some hundred values in another order
      ASSERT_NEAR(b[i], a[i], 1e-3 * std::max(1.0f, std::fabs(a[i]))) << i;
  }
}

TEST_P(DarknetHead, LearnsByHeart) {
  PlannedNetwork network = this->network(Device::cpu);
  const double first = pass(network);
  double last = first;
  for (int step = 0; step < 300; ++step) {
    for (const ParameterSpan& span : network.parameters().spans()) {
      if (span.info.role == Role::statistic) continue;
      const View<float> value = network.parameters().value(span), slope = network.parameters().gradient(span);
      for (int i = 0; i < value.size(); ++i) value[i] -= GetParam().rate * slope[i];
    }
    last = pass(network);
  }
  EXPECT_LT(last, first / 4) << "from " << first;
}

INSTANTIATE_TEST_SUITE_P(heads, DarknetHead, testing::ValuesIn(cases()),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace osprey
