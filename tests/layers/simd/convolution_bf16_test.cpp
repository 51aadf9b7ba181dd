// Products of bf16, and tensors in it.
#include <fstream>
#include <iterator>

#include "core/activations.h"
#include "core/bf16.h"
#include "layers/simd/outer_product.h"
#include "tests/layers/simd/convolution_trial.h"

namespace osprey::convolution_tests {
namespace {

// What tests in bf16, here and in network_test.cpp, are skipped by is what Linux says of the processor, too:
// where it has it, none is skipped.
TEST(CpuConvolution, MultipliesBf16WhereTheProcessorCan) {
  std::ifstream file("/proc/cpuinfo");
  ASSERT_TRUE(file);
  const std::string flags(std::istreambuf_iterator<char>(file), {});
  EXPECT_EQ(simd::has_bf16_products(), flags.find(" avx512_bf16") != std::string::npos);
}

TEST(CpuConvolution, RoundsItsFactorsAndNotTheSums) {
  if (!simd::has_bf16_products()) GTEST_SKIP() << "this processor has no products of bf16";
  for (const std::vector<Case>& cases : {kCases, kGroupCases})
    for (const Case& c : cases)
      for (const Algorithm a : {Algorithm::automatic, Algorithm::direct}) expect_all_directions(c, a, true);
  for (const Case& c : kWinogradCases) expect_all_directions(c, Algorithm::winograd2, true);

  // 1 + 2^-7 is a bf16, and 256 of its squares are more than one could count in.
  const Case many{{1, 3, 3, 256}, 16, 1};
  CpuConvolution::Options options;
  options.training = false;
  options.bf16_products = true;
  Trial trial(many, options);
  EXPECT_EQ(trial.convolution.algorithms(), "direct bf16");
  Values x(9 * 256, 1.0078125f), w(16 * 256, 1.0078125f);
  for (float v : trial.forward(many, x, w)) EXPECT_EQ(v, 256 * 1.0078125f * 1.0078125f);
}

// Products of bf16 are of pairs; the value behind an odd number of them meets a weight of 0.
TEST(CpuConvolution, RoundsOddNumbersOfChannels) {
  if (!simd::has_bf16_products()) GTEST_SKIP() << "this processor has no products of bf16";
  for (const Case& c : {Case{{2, 9, 11, 3}, 18, 3, 2, 1}, Case{{1, 9, 9, 5}, 8, 7, 2, 3},
                        Case{{1, 5, 6, 255}, 20, 1}, Case{{1, 8, 8, 35}, 40, 3, 1, 1}}) {
    CpuConvolution::Options options;
    options.training = false;
    options.algorithm = Algorithm::direct;
    options.bf16_products = true;
    EXPECT_EQ(Trial(c, options).convolution.algorithms(), "direct bf16") << c.text();
    expect_all_directions(c, Algorithm::direct, true);
  }
}

// What is in bf16 already gives the same products, and so the same sums, of which a tensor in bf16 keeps the
// nearest it can.
TEST(CpuConvolution, ReadsAndWritesBf16) {
  if (!simd::has_bf16_products()) GTEST_SKIP() << "this processor has no products of bf16";
  const auto rounded = [](const Values& v) { return std::vector<bf16>(v.begin(), v.end()); };
  const auto floats = [](const std::vector<bf16>& v) { return Values(v.begin(), v.end()); };
  std::vector<std::pair<Case, Algorithm>> trials;
  for (const Case& c : kCases)
    if (c.groups < 9) trials.push_back({c, Algorithm::direct});
  for (const Case& c : kWinogradCases)
    for (const Algorithm a : {Algorithm::automatic, Algorithm::winograd2, Algorithm::winograd4})
      trials.push_back({c, a});
  for (const auto& [c, algorithm] : trials)
    for (const Activation activation : {Activation::linear, Activation::leaky, Activation::mish}) {
      SCOPED_TRACE(c.text() + ", " + kConvolutionAlgorithms[int(algorithm)]);
      CpuConvolution::Options options;
      options.algorithm = algorithm;
      options.bf16_products = true;
      options.activation = activation;
      Trial in_floats(c, options);
      options.x_type = options.y_type = Type::bf16;
      Trial in_bf16(c, options);
      ASSERT_EQ(in_bf16.convolution.algorithms(), in_floats.convolution.algorithms());
      std::vector<bf16> x = rounded(random_values(c.x, 1)), dy = rounded(random_values(c.y(), 3)),
                        y(dy.size()), dx = rounded(random_values(c.x, 4));
      Values w = random_values(c.weights(), 2), dw(w.size()), x_floats = floats(x), dy_floats = floats(dy),
             y_want(y.size()), dx_want = floats(dx), dw_want(w.size());
      const View<float> vw{w.data(), c.weights()}, vdw{dw.data(), c.weights()},
          vdw_want{dw_want.data(), c.weights()};
      const auto run = [&](Trial& trial, Tensor x, Tensor dy, Tensor y, Tensor dx, View<float> dw) {
        trial.convolution.pack(w.data(), trial.packed);
        trial.convolution.forward(x, trial.packed, {}, y, trial.scratch);
        trial.convolution.backward_data(dy, vw, dx, true, trial.scratch);
        trial.convolution.backward_weights(x, dy, dw, trial.scratch);
      };
      run(in_floats, {x_floats.data(), c.x}, {dy_floats.data(), c.y()}, {y_want.data(), c.y()},
          {dx_want.data(), c.x}, vdw_want);
      run(in_bf16, {x.data(), c.x, Type::bf16}, {dy.data(), c.y(), Type::bf16}, {y.data(), c.y(), Type::bf16},
          {dx.data(), c.x, Type::bf16}, vdw);
      EXPECT_EQ(floats(y), floats(rounded(y_want)));
      EXPECT_EQ(floats(dx), floats(rounded(dx_want)));
      EXPECT_EQ(dw, dw_want);
    }
}

// A sum that is added to what is there is rounded with it, once.
TEST(CpuConvolution, AddsWhatIsInBf16) {
  if (!simd::has_bf16_products()) GTEST_SKIP() << "this processor has no products of bf16";
  for (const Algorithm algorithm : {Algorithm::direct, Algorithm::winograd2, Algorithm::winograd4})
    for (const Activation activation : {Activation::relu, Activation::swish})
      for (const int filters : {31, 64}) {
        const Case c{{1, 9, 9, 32}, filters, 3, 1, 1};
        SCOPED_TRACE(c.text() + ", " + kConvolutionAlgorithms[int(algorithm)]);
        CpuConvolution::Options options;
        options.training = false;
        options.algorithm = algorithm;
        options.bf16_products = true;
        options.residual = true;
        options.activation = options.residual_activation = activation;
        Trial in_floats(c, options);
        options.y_type = Type::bf16;
        Trial in_bf16(c, options);
        Values x = random_values(c.x, 1), w = random_values(c.weights(), 2);
        const Values random = random_values(c.y(), 3);
        std::vector<bf16> addend(random.begin(), random.end()), y(addend.size());
        Values same(addend.begin(), addend.end()), want(addend.size());
        for (Trial* trial : {&in_floats, &in_bf16}) {
          const bool floats = trial == &in_floats;
          trial->convolution.pack(w.data(), trial->packed);
          trial->convolution.forward(
              View<float>{x.data(), c.x}, trial->packed,
              {{}, {}, floats ? Tensor(same.data(), c.y()) : Tensor(addend.data(), c.y(), Type::bf16)},
              floats ? Tensor(want.data(), c.y()) : Tensor(y.data(), c.y(), Type::bf16), trial->scratch);
        }
        EXPECT_EQ(Values(y.begin(), y.end()), [&] {
          const std::vector<bf16> v(want.begin(), want.end());
          return Values(v.begin(), v.end());
        }());
      }
}

}  // namespace
}  // namespace osprey::convolution_tests
