#include "tests/layers/harness.h"

namespace osprey {
namespace {

// Darknet's CPU overwrites the gradient of `from`; here both are added to.
TEST(sam, multiplies_two_layers) {
  SingleLayer layer("[sam]\nfrom=-4", {{1, 1, 1, 3}, {1, 1, 1, 3}});
  expect_equal(layer.forward({{1, 2, 3}, {4, 5, 6}}), {4, 10, 18});
  const auto dx = layer.backward({1, 10, 100}, {{1, 1, 1}, {2, 2, 2}});
  expect_equal(dx[0], {5, 51, 601});
  expect_equal(dx[1], {3, 22, 302});
}

// One product and one addition each, which a compiler may fuse.
TEST(sam, kernels_agree) {
  for (Shape shape : kAwkwardShapes)
    for (const char* cfg : {"[sam]\nfrom=-4", "[sam]\nfrom=-4\nactivation=logistic"}) {
      expect_parity(cfg, {shape, shape}, {1e-6f, 1e-6f});
      // With an activation the values and the gradients before it are rounded as well.
      expect_parity_in_bf16(cfg, {shape, shape}, {0x1p-7f, 0x1p-8f});
    }
}

TEST(sam, gradient_is_the_slope) {
  const Shape s{2, 3, 4, 5};
  for (const char* activation : {"", "activation=logistic", "activation=mish"})
    expect_gradient_on_both(std::string("[sam]\nfrom=-4\n") + activation, {s, s},
                            {random_values(s, 1), random_values(s, 2)});
}

TEST(sam, explains_what_is_wrong) {
  expect_error("[sam]", "test.cfg:1: [sam] from must be given");
  expect_error("[sam]\nfrom=0", "layer `0` is 1x4x4x4 and the layer before is 1x8x8x4: they must be equal",
               {{1, 8, 8, 4}, {1, 4, 4, 4}});
}

}  // namespace
}  // namespace osprey
