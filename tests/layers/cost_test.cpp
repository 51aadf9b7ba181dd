#include "tests/layers/harness.h"

namespace osprey {
namespace {

struct Outcome {
  double loss;
  Values dx;
};

Outcome cost_of(const std::string& keys, const Values& x, const Values& targets) {
  SingleLayer layer("[cost]\n" + keys, {{1, 1, 1, int(x.size())}});
  layer.targets = targets;
  EXPECT_EQ(layer.forward(x), x);
  const Values dx = layer.gradient(Values(x.size(), 0));
  return {layer.report.loss, dx};
}

// Darknet's gradient of a square is d, not 2 d.
TEST(cost, counts_differences) {
  const Values x = {1, 2, 3}, targets = {3, 1.5f, 3};
  const Outcome sse = cost_of("type=sse\nscale=2", x, targets);
  EXPECT_DOUBLE_EQ(sse.loss, 4 + 0.25);
  expect_equal(sse.dx, {-4, 1, 0});
  const Outcome smooth = cost_of("type=smooth", x, targets);
  EXPECT_DOUBLE_EQ(smooth.loss, 3 + 0.25);
  expect_equal(smooth.dx, {-1, 0.5f, 0});
  const Outcome l1 = cost_of("type=L1", {1, 2}, {3, 1.5f});
  EXPECT_DOUBLE_EQ(l1.loss, 2.5);
  expect_equal(l1.dx, {-1, 1});
}

TEST(cost, leaves_out_what_is_masked) {
  const Outcome masked = cost_of("type=masked", {1, 2}, {3, -1234});
  EXPECT_DOUBLE_EQ(masked.loss, 4);
  expect_equal(masked.dx, {-2, 0});
}

TEST(cost, kernels_agree) {
  for (const char* type : {"sse", "masked", "smooth", "L1"})
    for (Shape shape : {Shape{1, 1, 1, 1}, {2, 3, 2, 7}, {1, 5, 5, 64}})
      expect_parity(std::string("[cost]\nscale=0.5\ntype=") + type, {shape}, {1e-6f, 1e-6f});
}

TEST(cost, kernels_leave_out_what_is_masked) {
  SingleLayer layer("[cost]\ntype=masked", {{1, 1, 1, 2}}, Device::cuda);
  layer.targets = {3, -1234};
  layer.forward({1, 2});
  EXPECT_DOUBLE_EQ(layer.report.loss, 4);
  expect_equal(layer.gradient({0, 0}), {-2, 0});
}

TEST(cost, adds_to_the_gradient) {
  SingleLayer layer("[cost]", {{1, 1, 1, 2}});
  layer.targets = {0, 0};
  layer.forward({1, 2});
  expect_equal(layer.backward({100, 200}, {{10, 20}})[0], {111, 222});
}

TEST(cost, passes_its_input_through_in_inference) {
  SingleLayer layer("[cost]", {{1, 1, 1, 2}}, Device::cpu, false);
  expect_equal(layer.forward({1, 2}), {1, 2});
}

TEST(cost, explains_what_is_wrong) {
  expect_error("[cost]\ntype=wgan",
               "test.cfg:2: [cost] type must be one of sse, masked, smooth, L1, not `wgan`");
  expect_error("[cost]\nratio=0.5", "test.cfg:2: [cost] ratio is not supported yet");
}

}  // namespace
}  // namespace osprey
