#include "tests/layers/harness.h"

namespace osprey {
namespace {

constexpr Shape kTwoImages{2, 4, 4, 3};

TEST(implicit, gives_every_image_the_same_numbers) {
  for (Device device : {Device::cpu, Device::cuda}) {
    SingleLayer layer("[implicit]\nfilters=2\natoms=2", {kTwoImages}, device, true, kTwoImages);
    EXPECT_EQ(layer.output(), (Shape{2, 2, 1, 2}));
    layer.parameter("weights") = {1, 2, 3, 4};
    const Values x(size_t(kTwoImages.size()), 7);
    expect_equal(layer.forward(x), {1, 2, 3, 4, 1, 2, 3, 4});
    layer.parameter_gradient("weights") = {100, 0, 0, 0};
    layer.backward({1, 2, 3, 4, 10, 20, 30, 40});
    expect_equal(layer.parameter_gradient("weights"), {111, 22, 33, 44});
  }
}

TEST(implicit, starts_around_its_mean) {
  SingleLayer layer("[implicit]\nfilters=10000\nmean=3\nstd=0.5", {kTwoImages});
  double sum = 0, squares = 0;
  for (float v : layer.parameter("weights")) sum += v, squares += (v - 3) * (v - 3);
  EXPECT_NEAR(sum / 1e4, 3, 0.02);  // four deviations of the mean of 10^4 values
  EXPECT_NEAR(squares / 1e4, 0.25, 0.02);
}

TEST(implicit, kernels_agree) {
  for (const char* cfg : {"[implicit]\nfilters=7", "[implicit]\nfilters=8\natoms=3"})
    expect_parity(cfg, {kTwoImages});
}

TEST(implicit, explains_what_is_wrong) {
  expect_error("[implicit]\nfrom=-1", "from has no meaning here: no layer changes the numbers");
}

}  // namespace
}  // namespace osprey
