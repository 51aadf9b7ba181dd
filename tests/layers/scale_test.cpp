#include "tests/layers/harness.h"

namespace osprey {
namespace {

TEST(Scale, MultipliesByOneLearnedNumber) {
  for (Device device : {Device::cpu, Device::cuda}) {
    SingleLayer layer("[scale]\ninit=3", {{2, 1, 1, 2}}, device);
    expect_equal(layer.parameter("scale"), {3});
    expect_equal(layer.forward({1, -2, 0, 4}), {3, -6, 0, 12});
    layer.parameter_gradient("scale") = {100};  // added to
    expect_equal(layer.backward({1, 10, 5, 0.5f}, {{1, 1, 1, 1}})[0], {4, 31, 16, 2.5f});
    expect_equal(layer.parameter_gradient("scale"), {100 + 1 - 20 + 2});
  }
  expect_equal(SingleLayer("[scale]", {{1, 1, 1, 1}}).parameter("scale"), {1});
}

// Sums of up to 40,000 products in another order.
TEST(Scale, KernelsAgree) {
  for (Shape shape : kAwkwardShapes) {
    expect_parity("[scale]\ninit=-1.5", {shape}, {1e-6f, 1e-5f});
    expect_parity_in_bf16("[scale]\ninit=0.5", {shape}, {0x1p-8f, 1e-4f});
  }
  expect_parity("[scale]\ninit=2", {{2, 50, 20, 20}}, {1e-6f, 1e-3f});  // several chunks
}

TEST(Scale, GradientsAreTheSlopes) { expect_gradient_on_both("[scale]\ninit=-2", {2, 3, 2, 5}); }

TEST(Scale, ExplainsWhatIsWrong) {
  expect_error("[scale]\ninit=much", "test.cfg:2: [scale] init must be a number, not `much`");
}

}  // namespace
}  // namespace osprey
