#include <cmath>

#include "tests/layers/harness.h"

namespace osprey {
namespace {

// Darknet's two loops, as DARKNET.md states them.
Values darknet(const Values& x, int channels, double alpha, double beta, double kappa, int size) {
  Values y;
  for (size_t pixel = 0; pixel < x.size(); pixel += size_t(channels)) {
    std::vector<double> norms(size_t(channels), kappa);
    const auto square = [&](int k) {
      return k >= 0 && k < channels ? double(x[pixel + size_t(k)]) * x[pixel + size_t(k)] : 0;
    };
    for (int k = 0; k < size / 2; ++k) norms[0] += alpha * square(k);
    for (int k = 1; k < channels; ++k)
      norms[size_t(k)] =
          norms[size_t(k) - 1] + alpha * square(k + size / 2) - alpha * square(k - (size - 1) / 2 - 1);
    for (int k = 0; k < channels; ++k)
      y.push_back(float(x[pixel + size_t(k)] * std::pow(norms[size_t(k)], -beta)));
  }
  return y;
}

TEST(normalization, has_darknets_window) {
  const Shape shape{2, 2, 3, 9};
  const Values x = random_values(shape, 5);
  for (Device device : {Device::cpu, Device::cuda})
    for (int size : {1, 2, 4, 5, 30}) {
      SCOPED_TRACE(size);
      SingleLayer layer(fmt::format("[normalization]\nalpha=0.3\nbeta=0.6\nkappa=2\nsize={}", size), {shape},
                        device);
      expect_equal(layer.forward(x), darknet(x, 9, 0.3, 0.6, 2, size), {2e-6f, 1e-7f});
    }
  SingleLayer defaults("[lrn]", {shape});
  expect_equal(defaults.forward(x), darknet(x, 9, 1e-4, 0.75, 1, 5), {1e-6f});
}

TEST(normalization, kernels_agree) {
  for (const char* cfg :
       {"[normalization]\nalpha=0.1", "[normalization]\nalpha=0.3\nsize=4\nbeta=0.5\nkappa=2"})
    for (Shape shape : kAwkwardShapes) {
      expect_parity(cfg, {shape}, {5e-6f, 5e-6f});
      expect_parity_in_bf16(cfg, {shape}, {0x1p-7f, 0x1p-7f});
    }
}

TEST(normalization, gradient_is_the_slope) {
  for (const char* size : {"1", "2", "4", "5", "30"})
    expect_gradient_on_both(std::string("[normalization]\nalpha=0.2\nkappa=1.5\nsize=") + size, {1, 2, 2, 7});
}

TEST(normalization, explains_what_is_wrong) {
  expect_error("[lrn]\nsize=0", "test.cfg:2: [lrn] size must be at least 1, not 0");
}

}  // namespace
}  // namespace osprey
