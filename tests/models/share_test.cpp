// share=: one set of parameters in several layers does what as many equal copies do, and its gradient is the
// sum of theirs.
#include <cmath>
#include <map>

#include "cuda/runtime.h"
#include "models/weights.h"
#include "tests/data/temporary.h"
#include "tests/models/networks.h"

namespace osprey {
namespace {

// Two levels of a pyramid under one head of two convolutions, and what they say joined by a shared
// [connected].
std::string pyramid(bool shared, const std::string& norm = "batch_normalize=1\n") {
  const auto head = [&](const std::string& first, const std::string& second, const std::string& last) {
    return "[convolutional]\n" + first + norm + "filters=6\nsize=3\npad=1\nactivation=leaky\n" +
           "[convolutional]\n" + second + "filters=5\nsize=1\nactivation=linear\n[avgpool]\n[connected]\n" +
           last + "output=3\nactivation=tanh\n";
  };
  return "[net]\nbatch=2\nwidth=14\nheight=10\nchannels=3\n"
         "[convolutional]\nname=p3\nfilters=8\nsize=3\nstride=2\npad=1\nactivation=leaky\n"
         "[convolutional]\nname=p4\nfilters=8\nsize=3\nstride=2\npad=1\nactivation=leaky\n" +
         head("from=p3\nname=tower\n", "name=scores\n", "name=last\n") +
         (shared ? head("from=p4\nshare=tower\n", "share=scores\n", "share=last\n")
                 : head("from=p4\n", "", "")) +
         "[route]\nlayers=-1,5\n[connected]\noutput=4\n[cost]\n";
}

struct Pass {
  std::vector<float> y;
  std::map<std::string, std::vector<float>> gradients;
};

// Both networks get the values of their spans by the layer in the first head that they belong to.
Pass pass(const std::string& cfg, NetworkOptions options) {
  Network network = network_of(cfg, options);
  network.plan(2, 14, 10);
  Parameters& parameters = network.parameters();
  parameters.initialise(3);
  for (const ParameterSpan& s : parameters.spans()) {
    const int layer = s.layer < 6 ? s.layer : s.layer - 4;
    const bool positive = s.info.batch_scale && !s.name.ends_with("mean");
    fill_randomly(parameters.value(s), uint64_t(100 * layer) + s.name.size() + uint64_t(s.name.back()),
                  positive ? 0.5f : -0.5f, positive ? 1.5f : 0.5f);
  }
  parameters.upload();
  parameters.zero_gradients();
  fill_randomly(network.input(), 5);
  fill_randomly(network.targets(), 6);
  network.forward();
  network.backward();
  network.wait();
  Pass result{network.read(int(network.nodes().size()) - 1), {}};
  parameters.download_gradients();
  for (const ParameterSpan& s : parameters.spans())
    if (s.info.role != Role::statistic) result.gradients[s.name] = copy_of(parameters.gradient(s));
  return result;
}

// Sums in another order: a few units in the last place of values of size one.
void expect_sum_of_copies(const std::string& norm, NetworkOptions options, float tolerance = 2e-5f) {
  const Pass shared = pass(pyramid(true, norm), options), copies = pass(pyramid(false, norm), options);
  ASSERT_EQ(shared.y, copies.y);
  ASSERT_LT(shared.gradients.size(), copies.gradients.size());
  for (const auto& [name, got] : shared.gradients) {
    SCOPED_TRACE(name);
    std::vector<float> want = copies.gradients.at(name);
    const int layer = std::stoi(name);
    if (layer >= 2 && layer < 6) {
      const auto& other = copies.gradients.at(std::to_string(layer + 4) + name.substr(name.find('.')));
      float least = 1;
      for (size_t i = 0; i < want.size(); ++i)
        want[i] += other[i], least = std::min(least, std::fabs(other[i]));
      EXPECT_GT(least, 0) << "the second copy does not take part";
    }
    for (size_t i = 0; i < want.size(); ++i)
      ASSERT_NEAR(got[i], want[i], tolerance * std::max(1.0f, std::fabs(want[i]))) << i;
  }
}

NetworkOptions on_device(Device device, bool reference = false) {
  NetworkOptions options;
  options.build.device = device;
  if (reference) options.build.convolution = ConvolutionAlgorithm::reference;
  return options;
}

TEST(Share, EqualsTheSumOfTwoCopies) {
  for (const std::string norm : {"batch_normalize=1\n", ""}) {
    SCOPED_TRACE(norm);
    expect_sum_of_copies(norm, on_device(Device::cpu));
    expect_sum_of_copies(norm, on_device(Device::cpu, true));
    expect_sum_of_copies(norm, on_device(Device::cuda));
  }
  // Gradients of parameters are kept in float there, too.
  NetworkOptions bf16 = on_device(Device::cuda);
  bf16.precision = Precision::bf16;
  expect_sum_of_copies("", bf16);
}

TEST(Share, IsCountedAndSavedOnce) {
  Network network = network_of(pyramid(true));
  network.plan(2, 14, 10);
  const int64_t stem = 8 * 3 * 9 + 8 + 8 * 8 * 9 + 8, head = 6 * 8 * 9 + 4 * 6 + 5 * 6 + 5 + 3 * 5 + 3,
                last = 4 * 6 + 4;
  EXPECT_EQ(network.parameters().count(), stem + head + last);
  EXPECT_EQ(weights_bytes(network, {}), 20 + 4 * (stem + head + last));
  EXPECT_EQ(network.nodes()[6].owner, 2);

  // Shared by a third layer through the second, in a network that is planned again for another size.
  Network chain = network_of(
      "[net]\nwidth=8\nheight=8\n[convolutional]\nname=a\nfilters=3\n"
      "[convolutional]\nname=b\nshare_index=0\nfilters=3\n"  // Darknet's word
      "[convolutional]\nshare=b\nfilters=3\n[cost]\n");
  chain.plan(1, 8, 8);
  chain.plan(2, 4, 4);
  EXPECT_EQ(chain.parameters().spans().size(), 2u);
  EXPECT_EQ(chain.nodes()[2].owner, 0);
}

// A head as ATSS has it, twice over one map, but that each has a scale of its own; and its weights in a file.
TEST(Share, OfGroupNormAndDeconvolutionIsSavedAndLoaded) {
  const auto head = [](const std::string& norm, const std::string& wider, const char* scale) {
    return "[group_norm]\nfrom=x\ngroups=2\nactivation=relu\n" + norm +
           "[deconvolutional]\nfilters=6\nsize=2\nstride=2\ngroups=2\nactivation=linear\n" + wider +
           "[scale]\n" + scale;
  };
  const std::string cfg =
      "[net]\nwidth=8\nheight=6\n[convolutional]\nname=x\nfilters=4\nactivation=linear\n" +
      head("name=norm\n", "name=wider\n", "init=1\n") + head("share=norm\n", "share=wider\n", "init=-2\n") +
      "[route]\nlayers=3,6\n[cost]\n";
  const Temporary folder;
  for (Device device : {Device::cpu, Device::cuda}) {
    NetworkOptions options = on_device(device);
    PlannedNetwork network(cfg, 1, 0, 0, options), other(cfg, 1, 0, 0, options, 8);
    const int64_t stem = 4 * 3 + 4, norm = 2 * 4, wider = 6 + 4 * 3 * 4, scales = 2;
    EXPECT_EQ(network.parameters().trained_count(), stem + norm + wider + scales);
    network.parameters().download();
    save_weights(folder / "w", network, {});
    load_weights(folder / "w", other, Coverage::whole);
    const auto output = [](Network& n) {
      fill_randomly(n.input(), 5);
      n.forward();
      n.wait();
      return n.read(7);
    };
    const std::vector<float> y = output(network);
    EXPECT_EQ(y, output(other));
    // The numbers before the scales are equal.
    const auto& spans = network.parameters().spans();
    const float a = network.parameters().value(spans[6])[0], b = network.parameters().value(spans[7])[0];
    ASSERT_EQ(y.size(), size_t(12 * 16 * 12));
    for (size_t i = 0; i < y.size(); i += i % 12 == 5 ? 7 : 1)
      ASSERT_NEAR(y[i] * b, y[i + 6] * a, 1e-5f) << i;
  }
}

// Parameters are trained wherever gradients reach them: here in the second layer alone.
TEST(Share, TrainsWhereOnlyTheSecondLayerIsReached) {
  const std::string cfg =
      "[net]\nwidth=8\nheight=8\n[convolutional]\nname=a\nfilters=3\nstopbackward=1\n"
      "[convolutional]\nshare=a\nfilters=3\n[cost]\n";
  Network network = network_of(cfg);
  network.plan(1, 8, 8);
  EXPECT_FALSE(network.nodes()[0].trains);
  EXPECT_TRUE(network.nodes()[1].trains);
  EXPECT_EQ(network.parameters().spans()[0].rate, 1);
}

std::string error(const std::string& layers) {
  return error_of([&] {
    Network network =
        network_of("[net]\nwidth=8\nheight=8\n[convolutional]\nname=a\nfilters=3\nsize=3\npad=1\n" + layers);
    network.plan(1, 8, 8);
  });
}

TEST(Share, ExplainsWhatDoesNotFit) {
  EXPECT_EQ(error("[convolutional]\nshare=b\nfilters=3\n"),
            "t.cfg:10: [convolutional] no layer before this one is named `b`, did you mean `a`?");
  expect_in("t.cfg:10: [connected] `a` is a [convolutional]: only layers of one type share parameters",
            error("[connected]\nshare=a\noutput=3\n"));
  expect_in(
      "t.cfg:10: [convolutional] the parameters of `a` do not fit: its biases are 1x1x1x3, and 1x1x1x4 here",
      error("[convolutional]\nshare=a\nfilters=4\nsize=3\npad=1\n"));
  expect_in("its weights are 3x3x3x3, and 3x1x1x3 here", error("[convolutional]\nshare=a\nfilters=3\n"));
  expect_in("one of the two has batch norm, and the other has not",
            error("[convolutional]\nshare=a\nfilters=3\nsize=3\npad=1\nbatch_normalize=1\n"));
  expect_in("t.cfg:11: [convolutional] learning_rate belongs to `a`, whose parameters this layer shares",
            error("[convolutional]\nshare=a\nlearning_rate=2\nfilters=3\nsize=3\npad=1\n"));
  expect_in("[maxpool] has none", error("[maxpool]\nname=p\n[maxpool]\nshare=p\n"));
}

}  // namespace
}  // namespace osprey
