// Weights that were changed without training do what the change says.
#include "models/edit_weights.h"

#include <gtest/gtest.h>

#include "tests/data/temporary.h"
#include "tests/models/networks.h"

namespace osprey {
namespace {

// No padding in the first layer: there rescaling is exact.
const std::string kCfg =
    "[net]\nwidth=8\nheight=8\nchannels=3\n"
    "[convolutional]\nbatch_normalize=1\nfilters=4\nsize=3\nstride=1\nactivation=leaky\n"
    "[convolutional]\nfilters=5\nsize=1\nactivation=linear\n"
    "[connected]\nbatch_normalize=1\noutput=6\nactivation=leaky\n";

std::vector<float> output_of(Network& network, float factor = 1, float shift = 0, bool swapped = false) {
  network.prepare();
  fill_randomly(network.input().view<float>(), 3);
  const View<float> x = network.input().view<float>();
  for (int i = 0; i < x.size(); ++i) x[i] = factor * x[i] + shift;
  for (int i = 0; swapped && i < x.size(); i += 3) std::swap(x[i], x[i + 2]);
  network.forward();
  return copy_of(network.nodes().back().layer->y.view<float>());
}

// Sums of some hundred products of numbers around 1, in another order.
void expect_near(const std::vector<float>& a, const std::vector<float>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-4f * (1 + std::abs(b[i]))) << i;
}

struct Edited : testing::Test {
  PlannedNetwork before_{kCfg, 1, 0, 0, inference()}, after_{kCfg, 1, 0, 0, inference()};
};

TEST_F(Edited, FoldedBatchNormChangesNothing) {
  fold_batch_norm(after_);
  const auto value = [&](const char* name) {
    for (const ParameterSpan& span : after_.parameters().spans())
      if (span.name == name) return copy_of(after_.parameters().value(span));
    ADD_FAILURE() << name;
    return std::vector<float>();
  };
  EXPECT_EQ(value("0.scales"), std::vector<float>(4, 1));
  EXPECT_EQ(value("2.rolling_mean"), std::vector<float>(6, 0));
  Network plain(without_batch_norm(parse_cfg(kCfg, "t.cfg")), inference());
  plain.plan(1, 8, 8);
  copy_parameters(after_, plain);
  for (const ParameterSpan& span : plain.parameters().spans())
    EXPECT_EQ(span.name.find("scales"), std::string::npos);
  const std::vector<float> expected = output_of(before_);
  expect_near(output_of(after_), expected);
  expect_near(output_of(plain), expected);
}

TEST_F(Edited, SwappedColoursTakeSwappedImages) {
  swap_red_and_blue(after_);
  expect_near(output_of(after_, 1, 0, true), output_of(before_));
  PlannedNetwork grey(
      "[net]\nwidth=8\nheight=8\nchannels=1\n[convolutional]\nfilters=2\nactivation=linear\n");
  expect_in("0 [convolutional], t.cfg:5: reads 1 channels", error_of([&] { swap_red_and_blue(grey); }));
}

TEST_F(Edited, RescaledInputIsWhatTheFirstLayerSaw) {
  rescale_input(after_, 2, -1);
  expect_near(output_of(after_), output_of(before_, 2, -1));
  const std::string no_norm =
      "[net]\nwidth=8\nheight=8\nchannels=3\n[convolutional]\nfilters=2\nsize=3\nactivation=linear\n";
  PlannedNetwork a(no_norm, 1, 0, 0, inference()), b(no_norm, 1, 0, 0, inference());
  rescale_input(b, 2, -1);
  expect_near(output_of(b), output_of(a, 2, -1));
}

}  // namespace
}  // namespace osprey
