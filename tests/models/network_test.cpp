// From cfg text to a network: references, messages, re-planning, and what must not change the result.
#include "models/network.h"

#include <cmath>

#include "core/parallel.h"
#include "layers/simd/outer_product.h"
#include "tests/data/temporary.h"
#include "tests/models/networks.h"

namespace osprey {
namespace {

const std::string kNet = "[net]\nwidth=16\nheight=16\nchannels=3\n";
const std::string kConv = "[convolutional]\nfilters=4\nsize=3\npad=1\nactivation=leaky\n";

std::string error(const std::string& cfg, NetworkOptions options = {}) {
  return error_of([&] {
    Network network = network_of(cfg, options);
    network.plan(1, network.net().width, network.net().height);
  });
}

TEST(Network, ReferencesAreRelativeAbsoluteOrNames) {
  Network network = network_of(kNet + kConv + "name=first\n" + kConv + kConv +
                               "[route]\nlayers=-3\n[route]\nlayers=1, first, -2\n[shortcut]\nfrom=2\n"
                               "[convolutional]\nfrom=first\nfilters=2\nsize=1\n");
  EXPECT_EQ(network.nodes()[0].inputs, (std::vector<int>{kInput}));
  EXPECT_EQ(network.nodes()[2].inputs, (std::vector<int>{1}));
  EXPECT_EQ(network.nodes()[3].inputs, (std::vector<int>{0}));
  EXPECT_EQ(network.nodes()[4].inputs, (std::vector<int>{1, 0, 2}));
  EXPECT_EQ(network.nodes()[5].inputs, (std::vector<int>{4, 2}));
  EXPECT_EQ(network.nodes()[6].inputs, (std::vector<int>{0}));
  EXPECT_EQ(network.where(4), "layer 4 [route], t.cfg:" + std::to_string(network.nodes()[4].section.line));
}

// A number between the convolution and the head does not hide that the head needs floats.
TEST(Network, UnderBf16HeadsReadFloatsThroughAScale) {
  const auto map = [](const std::string& name, int filters, const std::string& after) {
    return "[convolutional]\nname=" + name + "\nfrom=first\nsize=1\nfilters=" + std::to_string(filters) +
           "\nactivation=linear\n" + after;
  };
  const std::string cfg = kNet + kConv + "name=first\n" + map("classes", 4, "") +
                          map("boxes", 4, "[scale]\nname=scaled\n") +
                          "[retina]\nfrom=classes,scaled\nclasses=4\nscales_per_octave=1\nanchor_ratios=1\n";
  NetworkOptions options;
  options.build.device = Device::cuda;
  options.precision = Precision::bf16;
  Network network = network_of(cfg, options);
  network.plan(1, 16, 16);
  EXPECT_EQ(network.nodes()[0].output_type, Type::bf16);
  for (int layer : {1, 2, 3}) EXPECT_EQ(network.nodes()[size_t(layer)].output_type, Type::f32);
  const std::string both = cfg + "[route]\nlayers=scaled\n[convolutional]\nfilters=2\nsize=1\n";
  EXPECT_EQ(
      error(both, options),
      "t.cfg:25: [retina] precision=bf16 needs a [convolutional], [connected] or [avgpool] right before it");
}

// A dropout has floats alone, and so have its neighbours; what a route joins has one type. In training no
// bf16 comes out of a convolution without batch norm; in inference the sum is the convolution's work.
TEST(Network, OnTheCpuTensorsAreInBf16WhereAllTakeIt) {
  const std::string plain = "[convolutional]\nfilters=8\nsize=1\nactivation=leaky\n",
                    normal = plain + "batch_normalize=1\n";
  const std::string cfg = kNet + normal + "[maxpool]\nsize=2\nstride=2\n" + normal + "[dropout]\n" + normal +
                          normal + "[shortcut]\nfrom=-2\n" + plain + normal + "[route]\nlayers=-1,-2\n" +
                          "[convolutional]\nfilters=6\nsize=1\nactivation=linear\n" +
                          "[yolo]\nclasses=1\nnum=1\nanchors=8,8\n";
  for (const bool training : {true, false}) {
    NetworkOptions options;
    options.precision = Precision::bf16;
    options.build.training = training;
    if (!simd::has_bf16_products()) {
      expect_in("precision=bf16: this processor has no instruction for it", error(cfg, options));
      continue;
    }
    Network network = network_of(cfg, options);
    network.plan(2, 16, 16);
    std::string types;
    for (const Node& node : network.nodes()) types += node.output_type == Type::bf16 ? 'b' : 'f';
    EXPECT_EQ(types, training ? "bbffbbbfffff" : "bbffbbbbbbff");
    network.forward();
  }
  NetworkOptions floats;
  Network network = network_of(cfg, floats);
  network.plan(2, 16, 16);
  for (const Node& node : network.nodes()) EXPECT_EQ(node.output_type, Type::f32);
}

// Of factors that bf16 holds the products are exact, and so are sums of few of them. Weights with batch norm
// in them are rounded: 105 products of size 1/8 with errors of 2^-9, of either sign.
TEST(Network, UnderBf16ConnectedLayersMultiplyWithPackedWeights) {
  if (!simd::has_bf16_products()) GTEST_SKIP() << "this processor has no products of bf16";
  const auto in_eighths = [](View<float> values) {
    for (float& v : values) v = std::round(v * 8) / 8;
  };
  for (const auto& [more, tolerance] :
       {std::pair("activation=leaky\n", 1e-5f), std::pair("batch_normalize=1\nactivation=linear\n", 0x1p-7f)})
    for (const int batch : {1, 2, 7}) {
      SCOPED_TRACE(fmt::format("{}{} images", more, batch));
      std::vector<float> y[2];
      for (const Precision precision : {Precision::fp32, Precision::bf16}) {
        NetworkOptions options = inference();
        options.precision = precision;
        const std::string cfg =
            std::string("[net]\nwidth=5\nheight=3\nchannels=7\n[connected]\noutput=33\n") + more;
        PlannedNetwork network(cfg, batch, 0, 0, options);
        for (const ParameterSpan& span : network.parameters().spans())
          if (span.name == "0.weights") in_eighths(network.parameters().value(span));
        EXPECT_EQ(network.nodes()[0].packs_parameters, precision == Precision::bf16);
        network.prepare_for_good(values_of(network));
        fill_randomly(network.input(), 3, -1, 1);
        in_eighths(network.input());
        network.forward();
        y[precision == Precision::bf16] = network.read(0);
      }
      ASSERT_EQ(y[0].size(), size_t(33 * batch));
      for (size_t i = 0; i < y[0].size(); ++i) ASSERT_NEAR(y[1][i], y[0][i], tolerance) << i;
    }
}

// All heads read one list.
TEST(Network, TheLeastCapacityForTruthsCounts) {
  const std::string head = "[yolo]\nclasses=1\nnum=1\nanchors=8,8\n", conv = "[convolutional]\nfilters=6\n";
  Network network = network_of(kNet + conv + head + "max=7\n[route]\nlayers=-2\n" + conv + head + "max=5\n");
  network.plan(2, 16, 16);
  EXPECT_EQ(network.truth_capacity(), 5);
  EXPECT_EQ(network.truths().boxes.shape, (Shape{2, 1, 5, 5}));
}

TEST(Network, AHeadNamesALevelThatDoesNotExist) {
  expect_in(
      "t.cfg:10: [retina] no layer before this one is named `boxes_p4`, did you mean `boxes_p3`?",
      error(kNet +
            "[convolutional]\nname=boxes_p3\nfilters=4\n[retina]\nclasses=4\nfrom=boxes_p3,boxes_p4\n"));
}

TEST(Network, MessagesNameFileLineAndWhatWasExpected) {
  EXPECT_EQ(
      error(kNet + kConv + "[route]\nlayers=5\n"),
      "t.cfg:11: [route] `5` refers to layer 5, but this is layer 1: only layers 0 to 0 stand before it");
  expect_in("t.cfg:11: [route] `-7` refers to layer -6", error(kNet + kConv + "[route]\nlayers=-7\n"));
  expect_in("t.cfg:12: [route] no layer before this one is named `frist`, did you mean `first`?",
            error(kNet + kConv + "name=first\n[route]\nlayers=frist\n"));
  expect_in("t.cfg:5: unknown section, did you mean `convolutional`?", [](std::string m) {
    return m.erase(m.find("["), m.find("] ") + 2 - m.find("["));
  }(error(kNet + "[convolutionel]\nfilters=4\n")));
  expect_in("t.cfg:6: [convolutional] unknown key `filtres`, did you mean `filters`?",
            error(kNet + "[convolutional]\nfiltres=4\n"));
  expect_in("t.cfg:1: [maxpool] the first section must be [net]", error("[maxpool]\nsize=2\n"));
  expect_in("t.cfg:1: [net] no layer follows", error(kNet));
  expect_in("t.cfg:1: [net] width must be given", error("[net]\nheight=3\n[maxpool]\n"));
  expect_in("t.cfg:3: [net] height must be between 1 and 65536, not 0",
            error("[net]\nwidth=16\nheight=0\n[maxpool]\n"));
  expect_in("not supported yet", error(kNet + "[iseg]\nclasses=2\n"));
}

TEST(Network, ShapesThatDoNotFitAreErrorsOfTheirSection) {
  // A window larger than what it slides over, a sum and a join of unlike sizes, and a head of the wrong
  // width.
  expect_in("t.cfg:7: [convolutional] a window of 40 pixels",
            error(kNet + "[convolutional]\nfilters=2\nsize=40\n"));
  expect_in("t.cfg:14: [route]",
            error(kNet + kConv + "[maxpool]\nsize=2\nstride=2\n[route]\nlayers=-1,-2\n"));
  expect_in("[yolo]", error(kNet + kConv + "[yolo]\nmask=0\nanchors=3,3\nnum=1\nclasses=2\n"));
  // Numbers that overflow an index are refused, not wrapped.
  const auto of = [](const char* size, const std::string& layers) {
    return error(fmt::format("[net]\nwidth={0}\nheight={0}\n", size) + layers);
  };
  expect_in("t.cfg: [net] asks for an input of 1x65536x65536x3: 2^31 values are too many",
            of("65536", "[convolutional]\nfilters=4\nsize=1\n"));
  expect_in("t.cfg:5: [convolutional] size must be between 1 and 65536, not 2147483647",
            of("64", "[convolutional]\nsize=2147483647\n"));
  expect_in("t.cfg:4: [convolutional] needs a tensor of 1x64x64x2000000000: 2^31 elements are too many",
            of("64", "[convolutional]\nfilters=2000000000\nsize=1\n"));
  expect_in("t.cfg:4: [connected] needs a tensor of", of("64", "[connected]\noutput=2000000000\n"));
  expect_in(
      "t.cfg:9: [retina] level 0 has 2048x2048 cells with 9 anchors each: a cell may have 4096, and all",
      of("2048",
         "[convolutional]\nname=c\nfilters=9\n[convolutional]\nfilters=36\n"
         "[retina]\nclasses=1\nfrom=c,-1\n"));
}

TEST(Network, OfEqualKeysTheFirstCountsAsInDarknet) {
  Network network = network_of(kNet + "[convolutional]\nfilters=4\nsize=1\nfilters=9\n");
  network.plan(1, 16, 16);
  EXPECT_EQ(network.nodes()[0].output, (Shape{1, 16, 16, 4}));
}

TEST(Network, LenientTakesUnknownKeysForWarnings) {
  NetworkOptions options;
  options.lenient = true;
  Network network = network_of(kNet + kConv + "colour=blue\n", options);
  EXPECT_EQ(network.nodes().size(), 1u);
}

// A small detector with all that shares memory: a residual block, pooling, two branches, joins, two heads.
const std::string kDetector =
    "[net]\nbatch=2\nwidth=32\nheight=32\nchannels=3\n"
    "[convolutional]\nbatch_normalize=1\nfilters=8\nsize=3\npad=1\nstride=2\nactivation=mish\n"
    "[convolutional]\nbatch_normalize=1\nfilters=8\nsize=3\npad=1\nactivation=leaky\n"
    "[convolutional]\nfilters=8\nsize=1\nactivation=linear\n"
    "[shortcut]\nfrom=-3\nactivation=leaky\n"
    "[maxpool]\nsize=2\nstride=2\n"
    "[convolutional]\nbatch_normalize=1\nfilters=12\nsize=3\npad=1\ngroups=2\nactivation=swish\n"
    "[maxpool]\nsize=3\nstride=1\n"
    "[route]\nlayers=-1,-2\n"
    "[convolutional]\nbatch_normalize=1\nfilters=24\ngroups=24\nsize=3\npad=1\nstride=2\nactivation=relu\n"
    "[convolutional]\nfilters=21\nsize=1\nactivation=linear\n"
    "[yolo]\nmask=3,4,5\nanchors=4,4, 6,8, 9,7, 12,12, 16,20, 24,24\nnum=6\nclasses=2\n"
    "[route]\nlayers=8\n"
    "[upsample]\nstride=2\n"
    "[route]\nlayers=-1,4\n"
    "[convolutional]\nfilters=21\nsize=1\nactivation=linear\n"
    "[yolo]\nmask=0,1,2\nanchors=4,4, 6,8, 9,7, 12,12, 16,20, 24,24\nnum=6\nclasses=2\n";

struct Pass {
  std::vector<float> y, gradients;
};

Pass training_pass(Network& network, uint64_t seed) {
  network.parameters().zero_gradients();
  put_truths(network, 3, 2);
  Pass pass{run(network, seed), {}};
  network.backward();
  for (const ParameterSpan& span : network.parameters().spans())
    if (span.info.role != Role::statistic)
      for (float g : network.parameters().gradient(span)) pass.gradients.push_back(g);
  return pass;
}

TEST(Network, PlannedForAnotherSizeAndBackItGivesTheSameBits) {
  PlannedNetwork network(kDetector, 2, 64, 64);
  network.plan(2, 32, 32);
  const Pass before = training_pass(network, 1);
  randomise(network.parameters(), 7);  // a pass moves the rolling values
  network.plan(1, 64, 32);
  training_pass(network, 2);
  network.plan(2, 32, 32);
  randomise(network.parameters(), 7);
  const Pass after = training_pass(network, 1);
  EXPECT_EQ(before.y, after.y);
  EXPECT_EQ(before.gradients, after.gradients);
  EXPECT_GT(*std::max_element(before.gradients.begin(), before.gradients.end()), 0);
}

TEST(Network, GradientsAddUpOverPasses) {
  PlannedNetwork network(kDetector, 2, 32, 32);
  const Pass once = training_pass(network, 1);
  randomise(network.parameters(), 7);
  network.parameters().zero_gradients();
  run(network, 1);
  network.backward();
  run(network, 1);
  network.backward();
  size_t i = 0;
  for (const ParameterSpan& span : network.parameters().spans())
    if (span.info.role != Role::statistic)
      for (float g : network.parameters().gradient(span)) {
        const float want = 2 * once.gradients[i++];
        ASSERT_NEAR(g, want, 1e-4f * std::max(1.0f, std::fabs(want))) << span.name;
      }
}

// In a network that never trains memory is shared, sums are done by convolutions and batch norm is folded: up
// to rounding, nothing of it shows.
TEST(Network, KeepingAllOutputsChangesNoResult) {
  for (const bool training : {false, true}) {
    NetworkOptions options = training ? NetworkOptions() : inference();
    PlannedNetwork shared(kDetector, 2, 32, 32, options);
    options.keep_all = true;
    PlannedNetwork kept(kDetector, 2, 32, 32, options);
    for (const int head : {10, 15}) {
      const std::vector<float> a = run(shared, 3, head), b = run(kept, 3, head);
      ASSERT_EQ(a.size(), b.size());
      for (size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], 1e-5f * std::max(1.0f, std::fabs(b[i])));
    }
    EXPECT_LT(shared.memory().bytes, kept.memory().bytes);
  }
}

// Which of them goes first shows nowhere; that they do shows in the memory of the plan.
TEST(Network, ImagesThatPassOneByOneAreAsThoseThatRunTogether) {
  for (const char* normalised : {"", "mean=.4,.5,.6\ndeviation=.2,.3,.4\n"}) {
    std::string cfg = kDetector;
    cfg.insert(cfg.find("[convolutional]"), normalised);
    NetworkOptions options = inference();
    options.images_together = 4;
    PlannedNetwork together(cfg, 4, 32, 32, options);
    EXPECT_EQ(together.passes(), 1);
    for (const int images : {1, 2}) {
      options.images_together = images;
      PlannedNetwork apart(cfg, 4, 32, 32, options);
      EXPECT_EQ(apart.passes(), 4 / images);
      EXPECT_LT(apart.memory().bytes, together.memory().bytes);
      for (const int head : {10, 15}) {
        EXPECT_EQ(apart.output(head), together.output(head));
        const std::vector<float> a = run(apart, 3, head), b = run(together, 3, head);
        ASSERT_EQ(a.size(), b.size());
        for (size_t i = 0; i < a.size(); ++i)
          ASSERT_NEAR(a[i], b[i], 1e-5f * std::max(1.0f, std::fabs(b[i]))) << "head " << head << ", " << i;
      }
    }
  }
}

TEST(Network, ImagesPassInGroupsWhereThatIsWorthWhile) {
  const int before = threads();
  const auto passes = [](const std::string& cfg, int batch, NetworkOptions options = inference()) {
    return PlannedNetwork(cfg, batch, 0, 0, options).passes();
  };
  const std::string large = "[net]\nwidth=256\nheight=256\nchannels=8\n", small = kNet,
                    convolution = "[convolutional]\nfilters=8\nsize=3\npad=1\nactivation=leaky\n";
  set_threads(1);
  EXPECT_EQ(passes(large + convolution, 6), 6);
  EXPECT_EQ(passes(small + convolution, 6), 1);
  EXPECT_EQ(passes(large + convolution, 6, all_kept()), 1);
  EXPECT_EQ(passes(large + convolution + "[cost]\n", 6, NetworkOptions()), 1);  // in training
  // Most weights would be read for one image at a time.
  EXPECT_EQ(passes(large + convolution + "[maxpool]\nsize=32\nstride=32\n[connected]\noutput=9\n", 6), 1);
  // Each thread has an image at least, and the groups are of one size.
  set_threads(2);
  EXPECT_EQ(passes(large + convolution, 6), 3);
  EXPECT_EQ(passes(large + convolution, 5), 1);
  set_threads(before);
}

TEST(Network, AConvolutionDoesTheSumThatFollowsIt) {
  PlannedNetwork absorbed(kDetector, 1, 32, 32, inference());
  EXPECT_EQ(absorbed.nodes()[3].absorbed_by, 2);
  PlannedNetwork separate(kDetector, 1, 32, 32, all_kept());
  EXPECT_EQ(separate.nodes()[3].absorbed_by, -1);
  // Somebody else reads what the convolution made: then the sum must stay.
  Network read_twice =
      network_of(kNet + kConv + kConv + "[shortcut]\nfrom=-2\n[route]\nlayers=1\n", inference());
  EXPECT_EQ(read_twice.nodes()[2].absorbed_by, -1);
  // The sum reads the network's convolution before last twice over.
  Network of_itself = network_of(kNet + kConv + kConv + "[shortcut]\nfrom=-1\n", inference());
  of_itself.plan(1, 16, 16);
}

TEST(Network, AConvolutionDoesThePoolingThatFollowsIt) {
  const std::string pool = "[maxpool]\nsize=2\nstride=2\n";
  const std::string conv = "[convolutional]\nfilters=5\nsize=3\npad=1\nactivation=leaky\n";
  const auto absorbed_by = [&](const std::string& layers, int layer) {
    PlannedNetwork network(kNet + layers, 1, 99, 98, inference());
    return network.nodes()[size_t(layer)].absorbed_by;
  };
  EXPECT_EQ(absorbed_by(conv + pool, 1), 0);
  EXPECT_EQ(absorbed_by(conv + "[maxpool]\nsize=3\nstride=2\n", 1), -1) << "windows overlap";
  EXPECT_EQ(absorbed_by(conv + pool + "[route]\nlayers=0\n", 1), -1) << "somebody else reads it";
  EXPECT_EQ(absorbed_by(conv + conv + "[shortcut]\nfrom=-2\nactivation=linear\n" + pool, 3), -1)
      << "it is a sum that is pooled";

  const std::string cfg = kNet + conv + pool + conv + "[maxpool]\nsize=3\nstride=3\npadding=1\n" + conv;
  PlannedNetwork absorbed(cfg, 2, 99, 98, inference()), separate(cfg, 2, 99, 98, all_kept());
  EXPECT_EQ(absorbed.nodes()[3].absorbed_by, 2);
  EXPECT_EQ(absorbed.nodes()[1].output, separate.nodes()[1].output);
  const std::vector<float> a = run(absorbed, 3), b = run(separate, 3);
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < b.size(); ++i) ASSERT_NEAR(a[i], b[i], 1e-5f * std::max(1.0f, std::fabs(b[i])));
  EXPECT_LT(absorbed.memory().bytes, separate.memory().bytes);
}

TEST(Network, AConvolutionDoesTheSumThatFollowsItsDropout) {
  const std::string cfg = kNet + kConv + kConv + "[dropout]\n[shortcut]\nfrom=-3\n";
  PlannedNetwork absorbed(cfg, 1, 16, 16, inference()), separate(cfg, 1, 16, 16, all_kept());
  EXPECT_EQ(absorbed.nodes()[3].absorbed_by, 1);
  EXPECT_EQ(separate.nodes()[3].absorbed_by, -1);
  const std::vector<float> a = run(absorbed, 3, 3), b = run(separate, 3, 3);
  for (size_t i = 0; i < b.size(); ++i) ASSERT_NEAR(a[i], b[i], 1e-5f * std::max(1.0f, std::fabs(b[i])));
}

// Weights that are packed for good are never in the network's memory, and what it holds for other layers
// stays.
TEST(Network, BringsWeightsWhilePackingThem) {
  const auto zeros = [](Network& of, const std::string& name) {
    for (const ParameterSpan& span : of.parameters().spans())
      if (span.name == name) {
        const View<float> values = of.parameters().value(span);
        return double(std::count(values.begin(), values.end(), 0.0f)) / values.size();
      }
    return -1.0;
  };
  // Panels of filters that are not full, and one layer whose weights are read as they are.
  const std::string normal = "batch_normalize=1\nsize=3\npad=1\nactivation=leaky\n";
  const std::string cfg = kNet + "[convolutional]\nfilters=70\n" + normal + "[convolutional]\nfilters=65\n" +
                          normal + "[convolutional]\nfilters=70\ngroups=5\nsize=3\npad=1\n" +
                          "[connected]\noutput=8\nactivation=linear\n",
                    shares = cfg + "[convolutional]\nshare=1\nfilters=65\nfrom=0\n" + normal;
  const int threads_before = threads();
  for (const ConvolutionAlgorithm algorithm :
       {ConvolutionAlgorithm::direct, ConvolutionAlgorithm::winograd2, ConvolutionAlgorithm::winograd4})
    for (const int count : {1, 3}) {
      SCOPED_TRACE(fmt::format("algorithm {}, {} threads", int(algorithm), count));
      set_threads(count);
      NetworkOptions options = inference();
      options.build.convolution = algorithm;
      PlannedNetwork known(cfg, 1, 16, 16, options);
      Network network = network_of(cfg, options);
      network.plan(1, 16, 16);
      network.prepare_for_good(values_of(known));
      EXPECT_EQ(run(network, 3), run(known, 3));
      for (const char* packed : {"0.weights", "1.weights", "2.weights"}) EXPECT_EQ(zeros(network, packed), 1);
      EXPECT_EQ(zeros(network, "3.weights"), 0);

      // A layer that shares them packs them, too.
      PlannedNetwork known_sharing(shares, 1, 16, 16, options);
      Network sharing = network_of(shares, options);
      sharing.plan(1, 16, 16);
      sharing.prepare_for_good(values_of(known_sharing));
      EXPECT_EQ(run(sharing, 3), run(known_sharing, 3));
      EXPECT_EQ(zeros(sharing, "1.weights"), 0);
    }
  set_threads(threads_before);
}

// In every activation, before and after the sum. Not all of them are oneDNN's; the kernels have them all.
TEST(Network, SumsDoneByConvolutionsAreTheSameOnADevice) {
  for (const std::string activation : kActivationNames) {
    SCOPED_TRACE(activation);
    const std::string convolution = "[convolutional]\nfilters=7\nsize=3\npad=1\nactivation=";
    const std::string cfg = "[net]\nwidth=6\nheight=5\nchannels=3\n" + convolution + "linear\n" +
                            convolution + activation + "\n[shortcut]\nfrom=-2\nactivation=" + activation +
                            "\n";
    NetworkOptions on_device = inference();
    on_device.build.device = Device::cuda;
    PlannedNetwork want(cfg, 2, 6, 5, all_kept()), got(cfg, 2, 6, 5, on_device);
    EXPECT_EQ(got.nodes()[2].absorbed_by, 1);
    for (Network* network : {static_cast<Network*>(&want), static_cast<Network*>(&got)}) {
      fill_randomly(network->input(), 3);
      network->forward();
    }
    const std::vector<float> a = got.read(2), b = want.read(2);
    for (size_t i = 0; i < b.size(); ++i) ASSERT_NEAR(a[i], b[i], 1e-5) << i;
  }
}

// Of a network with an input of 20x14.
void expect_both_convolutions_agree(const std::string& cfg) {
  NetworkOptions reference;
  reference.build.convolution = ConvolutionAlgorithm::reference;
  PlannedNetwork fast(cfg, 2, 20, 14), plain(cfg, 2, 20, 14, reference);
  const Pass a = training_pass(fast, 5), b = training_pass(plain, 5);
  ASSERT_EQ(a.y.size(), b.y.size());
  for (size_t i = 0; i < a.y.size(); ++i) ASSERT_NEAR(a.y[i], b.y[i], 1e-4f) << i;
  ASSERT_EQ(a.gradients.size(), b.gradients.size());
  for (size_t i = 0; i < a.gradients.size(); ++i)
    ASSERT_NEAR(a.gradients[i], b.gradients[i], 1e-4f * std::max(1.0f, std::fabs(b.gradients[i]))) << i;

  reference.build.training = false;
  PlannedNetwork fast_only(cfg, 2, 20, 14, inference()), plain_only(cfg, 2, 20, 14, reference);
  const std::vector<float> c = run(fast_only, 5), d = run(plain_only, 5);
  for (size_t i = 0; i < c.size(); ++i) ASSERT_NEAR(c[i], d[i], 1e-4f) << i;
}

// oneDNN picks other algorithms for each of these; all must be the readable form's result.
TEST(Network, BothConvolutionsAgreeForwardAndInAllGradients) {
  expect_both_convolutions_agree(
      "[net]\nbatch=2\nwidth=20\nheight=14\nchannels=3\n"
      "[convolutional]\nbatch_normalize=1\nfilters=16\nsize=3\npad=1\nactivation=leaky\n"
      "[convolutional]\nfilters=16\nsize=3\npad=1\nstride=2\ngroups=16\nactivation=relu6\n"  // depthwise
      "[convolutional]\nbatch_normalize=1\nfilters=24\nsize=1\ngroups=4\nactivation=mish\n"
      "[convolutional]\nfilters=24\nsize=2\nstride=1\npadding=1\nactivation=linear\n"  // even size
      "[convolutional]\nfilters=16\nsize=3\npad=1\ndilation=2\nactivation=swish\n"
      "[convolutional]\nfilters=8\nsize=5\nstride_x=2\nstride_y=1\npad=1\nactivation=logistic\n"
      "[convolutional]\nfilters=21\nsize=1\nactivation=linear\n"
      "[yolo]\nmask=0,1,2\nanchors=4,4, 6,8, 9,7\nnum=3\nclasses=2\n");
}

// With windows side by side, overlapping, with gaps between them, and by channel.
TEST(Network, BothTransposedConvolutionsAgreeForwardAndInAllGradients) {
  expect_both_convolutions_agree(
      "[net]\nbatch=2\nwidth=20\nheight=14\nchannels=3\n"
      "[convolutional]\nfilters=16\nsize=3\nstride=2\npad=1\nactivation=leaky\n"
      "[deconvolutional]\nbatch_normalize=1\nfilters=24\nsize=2\nstride=2\nactivation=relu\n"
      "[convolutional]\nfilters=12\nsize=3\nstride=2\npad=1\nactivation=leaky\n"
      "[deconvolutional]\nfilters=12\nsize=4\nstride=2\npadding=1\ngroups=12\nactivation=mish\n"
      "[maxpool]\nsize=2\nstride=2\n"
      "[deconvolutional]\nfilters=16\nsize=1\nstride=2\noutput_pad=1\nactivation=leaky\n"
      "[maxpool]\nsize=2\nstride=2\n"
      "[deconvolutional]\nfilters=8\nsize=3\nstride=2\npadding=1\noutput_pad=1\ngroups=4\nactivation=swish\n"
      "[convolutional]\nfilters=21\nsize=1\nactivation=linear\n"
      "[yolo]\nmask=0,1,2\nanchors=4,4, 6,8, 9,7\nnum=3\nclasses=2\n");
}

// Layers that only detection needs are not planned for training, and frozen ones get no gradient.
TEST(Network, NothingBeforeStopbackwardIsTrained) {
  std::string cfg = kDetector;
  cfg.replace(cfg.find("[maxpool]\nsize=2"), 9, "[maxpool]\nstopbackward=1");
  PlannedNetwork network(cfg, 2, 32, 32);
  training_pass(network, 1);
  for (const ParameterSpan& span : network.parameters().spans()) {
    EXPECT_EQ(span.rate, span.layer <= 4 ? 0.0f : 1.0f) << span.name;
    if (span.info.role == Role::statistic) continue;
    const View<float> g = network.parameters().gradient(span);
    const bool zero = std::all_of(g.begin(), g.end(), [](float v) { return v == 0; });
    EXPECT_EQ(zero, span.layer <= 4) << span.name;
  }
}

TEST(Network, TheFirstLayerThatIsNotFiniteIsNamed) {
  PlannedNetwork network(kDetector, 1, 32, 32);
  fill_randomly(network.input(), 1);
  EXPECT_EQ(network.first_not_finite(), -1);
  for (const ParameterSpan& span : network.parameters().spans())
    if (span.name == "5.weights") network.parameters().value(span)[3] = NAN;
  EXPECT_EQ(network.first_not_finite(), 5);
}

// The slope of the whole network at once: a head's delta is the negative gradient of its loss, so moving a
// parameter by e must change the summed product of head input and a fixed delta by e times its gradient.
TEST(Network, GradientsReachTheFirstWeightsThroughEveryLayer) {
  const std::string cfg =
      "[net]\nbatch=2\nwidth=12\nheight=12\nchannels=2\n"
      "[convolutional]\nbatch_normalize=1\nfilters=4\nsize=3\npad=1\nactivation=mish\n"
      "[convolutional]\nfilters=4\nsize=3\npad=1\nactivation=swish\n"
      "[shortcut]\nfrom=-2\nactivation=linear\n"
      "[convolutional]\nbatch_normalize=1\nfilters=6\nsize=2\nstride=2\nactivation=logistic\n"
      "[upsample]\nstride=2\n"
      "[route]\nlayers=-1,2\n"
      "[avgpool]\n"
      "[connected]\noutput=3\nactivation=tanh\n"
      "[cost]\ntype=sse\n";
  PlannedNetwork network(cfg, 2, 12, 12);
  fill_randomly(network.targets(), 9);
  auto loss = [&] {
    network.clear_losses();
    run(network, 4);
    double sum = 0;
    for (size_t i = 0; i < network.nodes().size(); ++i)
      if (network.nodes()[i].layer->has_loss()) sum += network.losses()[i].loss;
    return sum;
  };
  network.parameters().zero_gradients();
  loss();
  network.backward();
  std::vector<float> gradients(network.parameters().gradients(),
                               network.parameters().gradients() + network.parameters().size());
  for (const ParameterSpan& span : network.parameters().spans()) {
    if (span.info.role == Role::statistic) continue;
    SCOPED_TRACE(span.name);
    const View<float> v = network.parameters().value(span);
    for (int i = 0; i < v.size(); i += std::max(1, v.size() / 7)) {
      const float before = v[i], step = 1e-2f;
      v[i] = before + step;
      const double above = loss();
      v[i] = before - step;
      const double below = loss();
      v[i] = before;
      // Caffe's rule, as for single layers: step 1e-2, 1e-3 of the larger of 1 and the gradient. The loss is
      // (t - y)^2 and Darknet's delta its half: t - y.
      const double slope = (above - below) / (2 * step) / 2, got = gradients[span.offset + size_t(i)];
      EXPECT_NEAR(got, slope, 1e-3 * std::max(1.0, std::fabs(slope))) << i;
    }
  }
}

}  // namespace
}  // namespace osprey
