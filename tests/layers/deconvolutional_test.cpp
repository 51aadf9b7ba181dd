#include "tests/layers/harness.h"

namespace osprey {
namespace {

TEST(Deconvolutional, PutsAWeightedWindowForEachPixel) {
  for (Device device : {Device::cpu, Device::cuda}) {
    SingleLayer layer("[deconvolutional]\nfilters=1\nsize=3\nstride=2\nactivation=linear", {{1, 1, 2, 1}},
                      device);
    // clang-format off
    layer.parameter("weights") = {1, 2, 3,
                                  4, 5, 6,
                                  7, 8, 9};
    layer.parameter("biases") = {100};
    expect_equal(layer.forward(Values{1, 10}), {101, 102, 113, 120, 130,
                                                104, 105, 146, 150, 160,
                                                107, 108, 179, 180, 190});
    layer.parameter_gradient("weights") = Values(9, 1000);  // added to
    expect_equal(layer.backward({1, 0, 1, 0, 0,
                                 0, 0, 0, 0, 0,
                                 0, 0, 0, 0, 2}, {{0.5f, 0.5f}})[0], {4.5f, 19.5f});
    expect_equal(layer.parameter_gradient("weights"), {1011, 1000, 1001,
                                                       1000, 1000, 1000,
                                                       1000, 1000, 1020});
    // clang-format on
    expect_equal(layer.parameter_gradient("biases"), {4});
  }
}

TEST(Deconvolutional, ShapesAreDarknets) {
  const auto output = [](const std::string& keys, Shape in) {
    return SingleLayer("[deconv]\nfilters=4\nactivation=linear\n" + keys, {in}).output().text();
  };
  EXPECT_EQ(output("size=2\nstride=2", {1, 14, 14, 2}), "1x28x28x4");
  EXPECT_EQ(output("size=4\nstride=2\npadding=1", {1, 5, 6, 2}), "1x10x12x4");
  EXPECT_EQ(output("size=4\nstride=2\npad=1", {1, 5, 6, 2}), "1x8x10x4");  // padding is size / 2
  EXPECT_EQ(output("size=3\nstride=2\npadding=1\noutput_pad=1", {2, 5, 4, 2}), "2x10x8x4");
  EXPECT_EQ(output("size=1\nstride=3", {1, 1, 2, 2}), "1x1x4x4");
  EXPECT_EQ(output("size=3\npad=1", {1, 7, 1, 2}), "1x7x1x4");
}

// With windows side by side, overlapping, and with gaps between them.
const char* const kSections[] = {
    "filters=3\nsize=2\nstride=2\nactivation=linear",
    "filters=8\nsize=4\nstride=2\npadding=1\nactivation=leaky",
    "filters=4\nsize=3\nstride=2\npadding=1\noutput_pad=1\ngroups=2\nactivation=mish",
    "filters=6\nsize=1\nstride=3\noutput_pad=2\nactivation=relu",
    "filters=6\nsize=3\npad=1\ngroups=6\nactivation=linear",
    "filters=5\nsize=5\nstride=3\npadding=2\nbatch_normalize=1\nactivation=swish",
    "filters=5\nsize=2\nstride=2\nbatch_normalize=1\nfrozen=1\nactivation=relu",
};

TEST(Deconvolutional, GradientsAreTheSlopes) {
  expect_gradient_on_both("[deconvolutional]\nfilters=3\nsize=3\nstride=2\npad=1\nactivation=linear",
                          {2, 3, 4, 2});
  expect_gradient_on_both(
      "[deconvolutional]\nfilters=4\nsize=4\nstride=3\npadding=1\noutput_pad=2\ngroups=2\nactivation=tanh",
      {1, 3, 2, 4});
  expect_gradient_on_both("[deconvolutional]\nfilters=4\nsize=3\nstride=1\ngroups=4\nactivation=swish",
                          {1, 3, 3, 4});
  expect_gradient_on_both(
      "[deconvolutional]\nfilters=3\nsize=2\nstride=2\nbatch_normalize=1\nfrozen=1\nactivation=mish",
      {1, 3, 4, 2});
}

// As for [convolutional]: batch norm divides by the spread of few values.
TEST(Deconvolutional, GradientsThroughBatchNormAreTheSlopes) {
  expect_gradient("[deconvolutional]\nfilters=3\nsize=3\nstride=2\nbatch_normalize=1\nactivation=swish",
                  {{2, 3, 3, 2}}, {random_values({2, 3, 3, 2}, 5)}, 4e-3f, {1e-2f, 1e-2f});
}

// Sums of up to 6 x 25 terms in another order; batch norm divides by the spread of few values.
TEST(Deconvolutional, KernelsAgree) {
  for (const std::string keys : kSections)
    expect_parity("[deconvolutional]\n" + keys, {{2, 3, 4, 6}}, {1e-4f, 1e-4f});
}

// Sums of up to 255 terms in another order.
TEST(Deconvolutional, KernelsAgreeAtAwkwardShapes) {
  for (const Shape& shape : kAwkwardShapes) {
    const std::string groups = std::to_string(shape.c);
    expect_parity("[deconvolutional]\nfilters=5\nsize=3\nstride=2\npad=1\nactivation=leaky", {shape},
                  {1e-5f, 1e-4f});
    expect_parity(
        "[deconvolutional]\nfilters=" + groups + "\nsize=3\npad=1\nactivation=linear\ngroups=" + groups,
        {shape}, {1e-5f, 1e-5f});
  }
}

// A linear layer rounds the sum and again with its bias, as [convolutional] does not; see there for the rest.
TEST(Deconvolutional, KernelsAgreeInBf16) {
  for (const Shape& shape : kAwkwardShapes) {
    expect_parity_in_bf16("[deconvolutional]\nsize=2\nstride=2\nfilters=8\nactivation=linear", {shape},
                          {0x1p-7f, 0x1p-7f});
    expect_parity_in_bf16("[deconvolutional]\nsize=3\nstride=2\nfilters=6\nactivation=leaky", {shape},
                          {0x1p-7f, 0x1p-5f});
  }
}

TEST(Deconvolutional, InferenceIsTraining) {
  const Shape in{2, 3, 4, 6};
  for (const std::string keys : kSections) {
    if (keys.find("batch_normalize") != std::string::npos && keys.find("frozen") == std::string::npos)
      continue;  // statistics of the mini-batch
    SCOPED_TRACE(keys);
    const Values x = random_values(in, 8);
    SingleLayer training("[deconvolutional]\n" + keys, {in});
    const Values want = training.forward(x);
    for (Device device : {Device::cpu, Device::cuda})
      expect_equal(SingleLayer("[deconvolutional]\n" + keys, {in}, device, false).forward(x), want,
                   {1e-5f, 1e-5f});
  }
}

TEST(Deconvolutional, NormalisesWithRollingStatisticsInInference) {
  for (Device device : {Device::cpu, Device::cuda}) {
    SingleLayer layer("[deconvolutional]\nbatch_normalize=1\nactivation=relu", {{1, 1, 2, 1}}, device, false);
    layer.parameter("weights") = {2};
    layer.parameter("scales") = {3};
    layer.parameter("biases") = {1};
    layer.parameter("rolling_mean") = {4};
    layer.parameter("rolling_variance") = {4};
    expect_equal(layer.forward(Values{3, 1}), {4, 0}, {1e-5f});
  }
}

TEST(Deconvolutional, OverwritesWhereItIsAskedTo) {
  for (Device device : {Device::cpu, Device::cuda}) {
    const Shape in{2, 3, 4, 6};
    SingleLayer layer("[deconvolutional]\nfilters=3\nsize=3\nstride=2\nactivation=linear", {in}, device);
    ASSERT_TRUE(layer.obeys_writes());
    layer.forward(random_values(in, 2));
    const Values dy = random_values(layer.output(), 3), added = layer.gradient(dy);
    expect_equal(layer.backward_overwriting(dy)[0], added);
  }
}

TEST(Deconvolutional, ExplainsWhatIsWrong) {
  expect_error("[deconvolutional]\ngroups=3",
               "test.cfg:2: [deconvolutional] groups=3 must divide the 4 input channels");
  expect_error("[deconvolutional]\nfilters=3\ngroups=2",
               "test.cfg:3: [deconvolutional] groups=2 must divide filters=3");
  expect_error("[deconvolutional]\nstride=2\noutput_pad=2",
               "test.cfg:3: [deconvolutional] output_pad=2 must be less than stride=2");
  expect_error("[deconvolutional]\nfrozen=1", "it needs batch_normalize=1");
  expect_error("[deconvolutional]\nsize=3\npadding=8",
               "nothing is left of an output of -6x-6 pixels from an input of 8x8");
  expect_error("[deconvolutional]\nstride=60000", "an output of 420001x420001 pixels is too large");
}

}  // namespace
}  // namespace osprey
