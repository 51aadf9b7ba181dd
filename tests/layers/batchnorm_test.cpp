#include "cuda/batchnorm.h"

#include <cmath>

#include "core/parallel.h"
#include "tests/layers/harness.h"

namespace osprey {
namespace {

TEST(batchnorm, normalises_with_the_biased_variance_and_rolls_the_unbiased_one) {
  SingleLayer layer("[batchnorm]", {{1, 1, 4, 1}});
  layer.parameter("scales") = {2};
  layer.parameter("biases") = {10};
  layer.parameter("rolling_mean") = {1};
  layer.parameter("rolling_variance") = {1};
  const float d = std::sqrt(5 + 1e-5f);  // of 1, 3, 5, 7: mean 4, variance 5, or unbiased 20/3
  expect_equal(layer.forward({1, 3, 5, 7}), {10 - 6 / d, 10 - 2 / d, 10 + 2 / d, 10 + 6 / d}, {1e-6f});
  expect_equal(layer.parameter("rolling_mean"), {0.99f * 1 + 0.01f * 4}, {1e-6f});
  expect_equal(layer.parameter("rolling_variance"), {0.99f * 1 + 0.01f * 20 / 3}, {1e-6f});
}

TEST(batchnorm, normalises_with_the_rolling_statistics_in_inference) {
  SingleLayer layer("[batchnorm]", {{1, 1, 2, 2}}, Device::cpu, false);
  layer.parameter("scales") = {2, 1};
  layer.parameter("biases") = {10, 0};
  layer.parameter("rolling_mean") = {3, 1};
  layer.parameter("rolling_variance") = {4, 0.25f};
  expect_equal(layer.forward({5, 2, 1, 1}), {12, 2, 8, 0}, {3e-5f});  // epsilon beside a variance of 1/4
}

// Darknet starts the rolling statistics at 0 and lets them decay in.
TEST(batchnorm, starts_as_darknet_does) {
  SingleLayer layer("[batchnorm]", {{1, 2, 2, 3}});
  expect_equal(layer.parameter("scales"), {1, 1, 1});
  expect_equal(layer.parameter("biases"), {0, 0, 0});
  expect_equal(layer.parameter("rolling_variance"), {0, 0, 0});
}

// Ten thousand deviations from zero: a variance from float sums of squares would be noise, or negative.
TEST(batchnorm, is_sound_far_from_zero) {
  const Shape shape{1, 50, 40, 3};
  Values x = random_values(shape);
  for (float& v : x) v = std::round(v * 64) / 64;
  SingleLayer near("[batchnorm]", {shape}), far("[batchnorm]", {shape});
  const Values y = near.forward(x);
  for (float& v : x) v += 4096;  // exact: 6 bits behind the point, 12 before it
  // The mean is rounded to a multiple of 2^-11 / 2, and the deviation is about 0.6.
  expect_equal(far.forward(x), y, {1e-4f, 5e-4f});
}

struct Case {
  int rows, c;
};

// Everything that the operation yields, for any activation.
struct Result {
  Values y, dx, scale_gradient, bias_gradient, rolling_mean, rolling_variance;
};

Result run(Case size, Activation activation, bool frozen, bool in_place) {
  const Shape shape{1, size.rows, 1, size.c}, channels{1, 1, 1, size.c};
  Values x = random_values(shape, 1), dy = random_values(shape, 2), mean(size.c), inverse(size.c);
  Values scale = random_values(channels, 3), bias = random_values(channels, 4);
  Result r{Values(x.size()),  Values(x.size(), 0.5f),     Values(size.c, 1),
           Values(size.c, 2), random_values(channels, 5), Values(size.c, 0.7f)};
  const auto view = [&](Values& v) { return View<float>(v.data(), v.size() == x.size() ? shape : channels); };
  BatchNorm b;
  b.scale = {scale.data(), channels}, b.bias = {bias.data(), channels};
  b.rolling_mean = {r.rolling_mean.data(), channels},
  b.rolling_variance = {r.rolling_variance.data(), channels};
  b.mean = {mean.data(), channels}, b.inverse_deviation = {inverse.data(), channels};
  b.scale_gradient = {r.scale_gradient.data(), channels},
  b.bias_gradient = {r.bias_gradient.data(), channels};
  b.activation = activation;
  b.frozen = frozen;
  Stream s;
  cpu::batchnorm_forward_training(s, view(x), view(r.y), b);
  cpu::batchnorm_backward(s, view(x), view(dy), in_place ? view(dy) : view(r.dx), b);
  if (in_place) r.dx = dy;
  return r;
}

// The same by the textbook, in double and without tricks.
Result reference(Case size, Activation activation, bool frozen) {
  const Shape shape{1, size.rows, 1, size.c}, channels{1, 1, 1, size.c};
  const Values x = random_values(shape, 1), dy = random_values(shape, 2);
  const Values scale = random_values(channels, 3), bias = random_values(channels, 4);
  Result r{Values(x.size()),  Values(x.size(), 0.5f),     Values(size.c, 1),
           Values(size.c, 2), random_values(channels, 5), Values(size.c, 0.7f)};
  const double n = size.rows;
  for (int c = 0; c < size.c; ++c) {
    double mean = r.rolling_mean[c], variance = r.rolling_variance[c], dscale = 0, dbias = 0;
    if (!frozen) {
      mean = variance = 0;
      for (int i = c; i < int(x.size()); i += size.c) mean += x[i] / n;
      for (int i = c; i < int(x.size()); i += size.c) variance += (x[i] - mean) * (x[i] - mean) / n;
      r.rolling_mean[c] = float(0.99 * r.rolling_mean[c] + 0.01 * mean);
      r.rolling_variance[c] =
          float(0.99 * r.rolling_variance[c] + 0.01 * variance * n / std::max(n - 1, 1.0));
    }
    const double inverse = 1 / std::sqrt(variance + 1e-5);
    for (int i = c; i < int(x.size()); i += size.c) {
      const double normal = (x[i] - mean) * inverse;
      const float z = float(scale[c] * normal + bias[c]);
      r.y[i] = activate(activation, z);
      dscale += dy[i] * slope(activation, z) * normal;
      dbias += dy[i] * slope(activation, z);
    }
    for (int i = c; i < int(x.size()); i += size.c) {
      const double normal = (x[i] - mean) * inverse;
      const double dz = dy[i] * slope(activation, float(scale[c] * normal + bias[c]));
      r.dx[i] += float(scale[c] * inverse * (frozen ? dz : dz - dbias / n - normal * dscale / n));
    }
    r.scale_gradient[c] += float(dscale);
    r.bias_gradient[c] += float(dbias);
  }
  return r;
}

void expect_same(const Result& got, const Result& want, Tolerance values, Tolerance sums) {
  expect_equal(got.y, want.y, values);
  expect_equal(got.dx, want.dx, values);
  expect_equal(got.scale_gradient, want.scale_gradient, sums);
  expect_equal(got.bias_gradient, want.bias_gradient, sums);
  expect_equal(got.rolling_mean, want.rolling_mean, values);
  expect_equal(got.rolling_variance, want.rolling_variance, values);
}

// Few channels, few rows, blocks of channels that are not full. Values are a few units large and go through a
// handful of roundings (with few rows 1/deviation reaches 300); sums have up to 5000 terms of float accuracy.
TEST(batchnorm, follows_the_textbook) {
  for (const Case size : {Case{5000, 1}, {700, 3}, {333, 20}, {64, 129}, {9, 1030}, {2, 513}, {130, 515}})
    for (Activation a : {Activation::linear, Activation::mish, Activation::swish, Activation::logistic})
      for (bool frozen : {false, true}) {
        SCOPED_TRACE(fmt::format("{} rows, {} channels, {}", size.rows, size.c, kActivationNames[int(a)]));
        expect_same(run(size, a, frozen, false), reference(size, a, frozen), {3e-5f, 3e-4f}, {1e-4f, 1e-4f});
      }
}

TEST(batchnorm, writes_over_dy_where_dx_is_dy) {
  const Case size{100, 7};
  Values want = run(size, Activation::mish, false, false).dx;
  for (float& v : want) v -= 0.5f;  // what was there
  expect_equal(run(size, Activation::mish, false, true).dx, want, {1e-5f, 1e-6f});
}

TEST(batchnorm, is_the_same_for_any_number_of_threads) {
  const int before = threads();
  for (const Case size : {Case{3001, 64}, {200, 1024}}) {
    set_threads(1);
    const Result one = run(size, Activation::leaky, false, false);
    set_threads(3);
    expect_same(run(size, Activation::leaky, false, false), one, kExact, kExact);
  }
  set_threads(before);
}

// One value to a channel has no unbiased variance; it must not become infinite.
TEST(batchnorm, survives_a_single_row) {
  SingleLayer layer("[batchnorm]", {{1, 1, 1, 2}});
  expect_equal(layer.forward({3, 4}), {0, 0});
  expect_equal(layer.parameter("rolling_variance"), {0, 0});
}

// Both sides sum in double, in another order, and round the results once.
TEST(batchnorm, kernels_agree) {
  for (Shape shape : {Shape{2, 5, 7, 3}, {1, 3, 3, 40}, {2, 30, 37, 8}})
    expect_parity("[batchnorm]", {shape}, {1e-5f, 1e-5f});
  expect_parity("[batchnorm]", {{2, 17, 40, 132}}, {2e-5f, 2e-5f});  // several chunks of rows
  for (Shape shape : kAwkwardShapes)
    if (shape.rows() > 2) expect_parity("[batchnorm]", {shape}, {1e-5f, 1e-5f});
  for (Shape shape : kAwkwardShapes) expect_parity("[batchnorm]\nfrozen=1", {shape}, {1e-5f, 1e-5f});
}

// Activations are rounded once; statistics and gradients of parameters stay floats.
TEST(batchnorm, kernels_agree_in_bf16) {
  for (Shape shape : {Shape{2, 5, 7, 3}, {2, 4, 3, 40}, {1, 30, 37, 8}})
    expect_parity_in_bf16("[batchnorm]", {shape}, {0x1p-8f, 1e-5f});
}

TEST(batchnorm, gradient_is_the_slope) {
  expect_gradient_on_both("[batchnorm]", {2, 4, 3, 3});
  expect_gradient_on_both("[batchnorm]\nfrozen=1", {2, 4, 3, 3});
}

TEST(batchnorm, explains_what_is_wrong) {
  expect_error("[batchnorm]\nscale=2", "test.cfg:2: [batchnorm] unknown key `scale`");
}

}  // namespace
}  // namespace osprey
