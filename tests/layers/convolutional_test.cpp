#include "tests/layers/harness.h"

namespace osprey {
namespace {

constexpr const char* kPlain = "[convolutional]\nfilters=3\nsize=3\npad=1\nactivation=linear\n";

TEST(Convolutional, SumsEachWindowTimesTheKernel) {
  SingleLayer layer("[convolutional]\nfilters=1\nsize=3\npad=1\nactivation=linear", {{1, 3, 3, 1}});
  // clang-format off
  const Values kernel = {0, 0, 0,
                         0, 1, 2,
                         0, 0, 0};
  layer.parameter("weights").assign(kernel.begin(), kernel.end());
  layer.parameter("biases")[0] = 10;
  expect_equal(layer.forward({1, 2, 3,
                              4, 5, 6,
                              7, 8, 9}), {15, 18, 13,
                                          24, 27, 16,
                                          33, 36, 19});
  expect_equal(layer.gradient({1, 0, 0,
                               0, 0, 0,
                               0, 0, 0}), {1, 2, 0,
                                           0, 0, 0,
                                           0, 0, 0});
  // clang-format on
  expect_equal(layer.parameter_gradient("biases"), {1});
}

TEST(Convolutional, ShapesAreDarknets) {
  const auto output = [](const std::string& keys, Shape in) {
    return SingleLayer("[convolutional]\nfilters=2\nactivation=linear\n" + keys, {in}).output().text();
  };
  EXPECT_EQ(output("size=3\nstride=2\npad=1", {1, 13, 9, 1}), "1x7x5x2");
  EXPECT_EQ(output("size=2\nstride=2\npad=1", {1, 7, 8, 1}), "1x4x5x2");
  EXPECT_EQ(output("size=4\nstride=1\npad=1", {1, 7, 8, 1}), "1x8x9x2");
  EXPECT_EQ(output("size=3\ndilation=2\npad=1", {1, 12, 10, 1}), "1x12x10x2");
  EXPECT_EQ(output("size=3\nstride_x=2\nstride_y=1\npad=1", {1, 8, 8, 1}), "1x8x4x2");
  EXPECT_EQ(output("size=1\nstride=2", {1, 7, 8, 1}), "1x4x4x2");
}

TEST(Convolutional, GradientsAreTheSlopes) {
  expect_gradient_on_both(kPlain, {2, 5, 4, 3});
  expect_gradient_on_both("[convolutional]\nfilters=4\nsize=3\nstride=2\npad=1\nactivation=mish",
                          {1, 7, 5, 2});
  expect_gradient_on_both("[convolutional]\nfilters=6\nsize=3\npad=1\ngroups=3\nactivation=swish",
                          {1, 5, 5, 6});
  expect_gradient_on_both("[convolutional]\nfilters=4\nsize=5\npad=1\ngroups=4\nactivation=logistic",
                          {1, 6, 5, 4});
  expect_gradient_on_both("[convolutional]\nfilters=2\nsize=3\ndilation=2\npad=1\nactivation=linear",
                          {1, 7, 8, 2});
  expect_gradient_on_both("[convolutional]\nfilters=3\nsize=2\nstride=2\npad=1\nactivation=tanh",
                          {1, 5, 6, 2});
}

// Batch norm divides by the spread of so few values that a step of 1e-2 bends the slope by up to 1e-2.
TEST(Convolutional, GradientsThroughBatchNormAreTheSlopes) {
  for (const char* activation : {"linear", "mish", "swish"})
    expect_gradient(
        "[convolutional]\nfilters=3\nsize=3\npad=1\nbatch_normalize=1\nactivation=" + std::string(activation),
        {{2, 5, 4, 2}}, {random_values({2, 5, 4, 2}, 5)}, 4e-3f, {1e-2f, 1e-2f});
}

TEST(Convolutional, InferenceFoldsBatchNorm) {
  const std::string cfg = "[convolutional]\nfilters=5\nsize=3\npad=1\nbatch_normalize=1\nactivation=leaky";
  const Shape in{2, 6, 5, 3};
  SingleLayer folded(cfg, {in}, Device::cpu, false);
  SingleLayer plain("[convolutional]\nfilters=5\nsize=3\npad=1\nactivation=linear", {in}, Device::cpu, false);
  for (const char* name : {"scales", "biases", "rolling_mean"}) {
    const Values v = random_values({1, 1, 1, 5}, 3);
    std::copy(v.begin(), v.end(), folded.parameter(name).begin());
  }
  for (int f = 0; f < 5; ++f) folded.parameter("rolling_variance")[size_t(f)] = 0.5f + float(f);
  const Values& w = folded.parameter("weights");
  std::copy(w.begin(), w.end(), plain.parameter("weights").begin());
  Stream s;
  const Values x = random_values(in, 8);
  const Values got = folded.forward(x);
  Values want = plain.forward(x);
  for (size_t i = 0; i < want.size(); ++i) {
    const size_t f = i % 5;
    const double normal = (want[i] - folded.parameter("rolling_mean")[f]) /
                          std::sqrt(double(folded.parameter("rolling_variance")[f]) + 1e-5);
    const double z = normal * folded.parameter("scales")[f] + folded.parameter("biases")[f];
    want[i] = float(z > 0 ? z : 0.1 * z);
  }
  expect_equal(got, want, {1e-5f, 1e-6f});  // sums of 27 terms in another order
}

// Frozen batch norm is a scale and a shift of each channel: in training as in inference, and as constants.
TEST(Convolutional, FrozenBatchNormIsConstant) {
  const std::string cfg =
      "[convolutional]\nfilters=5\nsize=3\npad=1\nbatch_normalize=1\nfrozen=1\nactivation=leaky";
  const Shape in{2, 6, 5, 3};
  const std::map<std::string, Values> norm = {{"biases", {1, -1, 0.5f, 0, 2}},
                                              {"scales", {1, 2, -1, 0.5f, 3}},
                                              {"rolling_mean", {0.5f, 0, -1, 0.25f, 0}},
                                              {"rolling_variance", {1, 4, 0.5f, 2, 9}}};
  const Values x = random_values(in, 8);
  SingleLayer folded(cfg, {in}, Device::cpu, false);
  for (const auto& [name, values] : norm) folded.parameter(name) = values;
  const Values want = folded.forward(x);
  for (Device device : {Device::cpu, Device::cuda}) {
    SingleLayer layer(cfg, {in}, device);
    for (const auto& [name, values] : norm) layer.parameter(name) = values;
    layer.parameter("weights") = folded.parameter("weights");
    expect_equal(layer.forward(x), want, {1e-5f, 1e-5f});  // sums of 27 terms in another order
    for (const auto& [name, values] : norm) EXPECT_EQ(layer.parameter(name), values) << name;
    ASSERT_EQ(layer.gradients().size(), 1u);
    EXPECT_EQ(layer.gradients().begin()->first, "weights");
  }
  // Before anything is loaded it changes nothing.
  SingleLayer fresh("[convolutional]\nbatch_normalize=1\nfrozen=1\nactivation=linear", {{1, 1, 2, 1}});
  fresh.parameter("weights") = {2};
  expect_equal(fresh.forward(Values{1, -3}), {2, -6}, {1e-5f});
}

TEST(Convolutional, FrozenGradientIsTheSlope) {
  expect_gradient_on_both(
      "[convolutional]\nfilters=3\nsize=3\npad=1\nbatch_normalize=1\nfrozen=1\nactivation=swish",
      {2, 5, 4, 2});
}

// The statistics of many draws: 16384 of them put the deviation within 3 / sqrt(2 * 16384) = 2% of its value.
TEST(Convolutional, StartsAsItIsTold) {
  const auto start = [](const std::string& keys) {
    SingleLayer layer("[convolutional]\nfilters=64\nsize=2\n" + keys, {{1, 4, 4, 64}});
    return layer.parameter("weights");
  };
  const auto deviation = [](const Values& v) {
    double sum = 0;
    for (float w : v) sum += double(w) * w;
    return std::sqrt(sum / double(v.size()));
  };
  const auto largest = [](const Values& v) {
    float most = 0;
    for (float w : v) most = std::max(most, std::fabs(w));
    return most;
  };
  const float inputs = 4 * 64;
  const Values gauss = start("weights_deviation=0.01\ninit=he");
  EXPECT_NEAR(deviation(gauss), 0.01, 2e-4);
  EXPECT_GT(largest(gauss), 0.03);  // not uniform
  EXPECT_NEAR(deviation(start("init=he")), std::sqrt(2 / inputs), 0.02 * std::sqrt(2 / inputs));
  for (const auto& [keys, bound] : {std::pair<const char*, float>{"", std::sqrt(2 / inputs)},
                                    {"init=xavier", std::sqrt(3 / inputs)},
                                    {"init=caffe_xavier", std::sqrt(3 / inputs)}}) {
    EXPECT_LE(largest(start(keys)), bound) << keys;
    EXPECT_GT(largest(start(keys)), 0.99f * bound) << keys;
  }
  // Where inputs and outputs differ, so do the two.
  SingleLayer narrow("[convolutional]\nfilters=2\nsize=16\ninit=xavier", {{1, 16, 16, 14}});
  EXPECT_NEAR(largest(narrow.parameter("weights")), std::sqrt(6.0f / (256 * 16)), 1e-3f);
  SingleLayer wide("[convolutional]\nfilters=2\nsize=16\ninit=he", {{1, 16, 16, 14}});
  EXPECT_NEAR(deviation(wide.parameter("weights")), std::sqrt(2.0 / 512), 0.04 * std::sqrt(2.0 / 512));
  SingleLayer biased("[convolutional]\nbias_init=-4.59512\nfilters=2", {{1, 2, 2, 1}});
  expect_equal(biased.parameter("biases"), {-4.59512f, -4.59512f});
}

// Every shape of section that Darknet's files have, and some that they have not.
const char* const kSections[] = {
    "filters=3\nsize=3\npad=1\nactivation=linear",
    "filters=8\nsize=1\nactivation=leaky",
    "filters=33\nsize=1\nstride=2\nactivation=mish",
    "filters=4\nsize=3\nstride=2\npad=1\nbatch_normalize=1\nactivation=leaky",
    "filters=6\nsize=3\npad=1\ngroups=2\nbatch_normalize=1\nactivation=swish",
    "filters=6\nsize=3\npad=1\ngroups=6\nactivation=relu6",
    "filters=5\nsize=3\ndilation=2\npad=1\nactivation=hardswish",
    "filters=7\nsize=2\nstride_x=3\nstride_y=1\npadding=2\nactivation=logistic",
    "filters=5\nsize=3\npad=1\nbatch_normalize=1\nfrozen=1\nactivation=relu",
    "filters=9\nsize=1\nbatch_normalize=1\nfrozen=1\nactivation=mish",
};

// Sums of up to 6 x 9 terms in another order; batch norm divides by the spread of few values.
TEST(Convolutional, KernelsAgree) {
  for (const std::string keys : kSections)
    expect_parity("[convolutional]\n" + keys, {{2, 5, 7, 6}}, {1e-4f, 1e-4f});
}

// Sums of up to 255 terms in another order. A pixel is often alone in a channel: no batch norm here.
TEST(Convolutional, KernelsAgreeAtAwkwardShapes) {
  for (const Shape& shape : kAwkwardShapes) {
    const std::string groups = std::to_string(shape.c);
    expect_parity("[convolutional]\nfilters=5\nsize=3\nstride=2\npad=1\nactivation=leaky", {shape},
                  {1e-5f, 1e-4f});
    expect_parity(
        "[convolutional]\nfilters=" + groups + "\nsize=3\npad=1\nactivation=linear\ngroups=" + groups,
        {shape}, {1e-5f, 1e-5f});
  }
}

// Products of these values are exact in float, so a linear layer rounds its results once. The gradient
// through an activation is rounded before it is multiplied: up to 54 terms of size 1 with errors of 2^-9.
TEST(Convolutional, KernelsAgreeInBf16) {
  for (const Shape& shape : kAwkwardShapes) {
    const std::string groups = std::to_string(shape.c), start = "[convolutional]\nsize=3\npad=1\n";
    expect_parity_in_bf16(start + "filters=8\nactivation=linear", {shape}, {0x1p-8f, 1e-4f});
    expect_parity_in_bf16(start + "filters=6\nstride=2\nactivation=leaky", {shape}, {0x1p-7f, 0x1p-5f});
    expect_parity_in_bf16(start + "activation=linear\nfilters=" + groups + "\ngroups=" + groups, {shape},
                          {0x1p-8f, 1e-4f});
  }
}

TEST(Convolutional, KernelsAgreeInInference) {
  const Shape in{2, 5, 7, 6};
  for (const std::string keys : kSections) {
    SCOPED_TRACE(keys);
    const auto run = [&](Device device) {
      SingleLayer layer("[convolutional]\n" + keys, {in}, device, false);
      uint64_t seed = 40;
      for (auto& [name, values] : layer.parameters()) {
        const Values start = random_values({1, 1, 1, int(values.size())}, ++seed);
        for (size_t i = 0; i < values.size(); ++i) values[i] = std::fabs(start[i]) + 0.5f;
      }
      return layer.forward(random_values(in, 8));
    };
    expect_equal(run(Device::cuda), run(Device::cpu), {1e-5f, 1e-5f});
  }
}

TEST(Convolutional, ExplainsWhatIsWrong) {
  expect_error("[convolutional]\nfitlers=3",
               "test.cfg:2: [convolutional] unknown key `fitlers`, did you mean `filters`?");
  expect_error("[convolutional]\nfilters=0", "test.cfg:2: [convolutional] filters must be at least 1, not 0");
  expect_error("[convolutional]\nfilters=2\nstride=0",
               "test.cfg:3: [convolutional] stride must be between 1 and 65536");
  expect_error("[convolutional]\nfilters=4\ngroups=3", "groups=3 must divide the 4 input channels");
  expect_error("[convolutional]\nfilters=3\ngroups=2", "groups=2 must divide filters=3");
  expect_error("[convolutional]\nsize=11\nactivation=linear",
               "a window of 11 pixels does not fit into the input of 8x8");
  expect_error("[convolutional]\nactivation=leeky", "did you mean `leaky`?");
  expect_error("[convolutional]\nfrozen=1",
               "test.cfg:2: [convolutional] frozen=1 is about batch norm: it needs batch_normalize=1");
  expect_error("[convolutional]\nweights_deviation=-1", "weights_deviation must be at least 0, not -1");
  expect_error("[convolutional]\nxnor=1", "xnor is not supported");
}

}  // namespace
}  // namespace osprey
