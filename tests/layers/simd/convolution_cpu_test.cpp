// The CPU's convolution beside sums in double, for every kind of processor that this one can play: all shapes
// in all directions, the choice of an algorithm, and what is done with a sum before it is stored. Winograd's
// algorithm, bf16 and pooling have files of their own.
#include <cmath>

#include "core/activations.h"
#include "core/error.h"
#include "core/parallel.h"
#include "tests/layers/simd/convolution_trial.h"

namespace osprey::convolution_tests {
namespace {

TEST(CpuConvolution, IsTheSumInEveryDirection) {
  on_each_processor([] {
    for (const std::vector<Case>& cases : {kCases, kGroupCases})
      for (const Case& c : cases)
        for (const Algorithm a : with_onednn({Algorithm::automatic, Algorithm::direct}))
          expect_all_directions(c, a);
  });
}

// The larger the tile the larger the error: were they equal, the same algorithm would have run each time.
TEST(CpuConvolution, RunsTheAlgorithmThatIsAskedFor) {
  for (const Algorithm a : with_onednn({Algorithm::direct, Algorithm::winograd2, Algorithm::winograd4,
                                        Algorithm::winograd5, Algorithm::winograd6})) {
    CpuConvolution::Options options;
    options.training = false;
    options.algorithm = a;
    EXPECT_EQ(Trial({{1, 68, 68, 16}, 16, 3, 1, 1}, options).convolution.algorithms(),
              kConvolutionAlgorithms[int(a)]);
    if (a == Algorithm::onednn) continue;
    EXPECT_EQ(Trial({{1, 8, 8, 16}, 16, 3, 2, 1}, options).convolution.algorithms(),
              a == Algorithm::winograd4 ? "winograd4 late" : "direct");
    EXPECT_EQ(Trial({{1, 8, 8, 16}, 16, 3, 3, 1}, options).convolution.algorithms(), "direct")
        << "Winograd's algorithm is for stride 1 and 2";
  }
}

TEST(CpuConvolution, SaysThatOneDnnIsNotThere) {
  if (OneDnnConvolution::built()) GTEST_SKIP() << "it is";
  CpuConvolution::Options options;
  options.algorithm = Algorithm::onednn;
  try {
    Trial trial({{1, 4, 4, 4}, 4, 1}, options);
    FAIL() << "no error";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("--convolution onednn: this build has no oneDNN"), std::string::npos)
        << e.what();
  }
}

// The epilogue: factors, bias, activation, residual, activation.
void expect_finished(const Case& c, const std::vector<Algorithm>& algorithms) {
  SCOPED_TRACE(c.text());
  const Shape channels{1, 1, 1, c.filters};
  Values x = random_values(c.x, 1), w = random_values(c.weights(), 2), bias = random_values(channels, 3),
         factors = random_values(channels, 4), residual = random_values(c.y(), 5);
  const Doubles sums = true_sums(c, x, w);
  const auto expect = [&](Algorithm algorithm, Activation activation, Activation after, bool with_factors) {
    SCOPED_TRACE(fmt::format("{} {} {}{}", kConvolutionAlgorithms[int(algorithm)],
                             kActivationNames[int(activation)], kActivationNames[int(after)],
                             with_factors ? " factors" : " residual"));
    CpuConvolution::Options options;
    options.training = with_factors;
    options.bias = true;
    options.factors = with_factors;
    options.residual = !with_factors;
    options.activation = activation;
    options.residual_activation = with_factors ? Activation::linear : after;
    options.algorithm = algorithm;
    CpuConvolution::Epilogue e{View<const float>(bias.data(), channels), {}, {}};
    if (with_factors)
      e.factors = View<const float>(factors.data(), channels);
    else
      e.residual = View<const float>(residual.data(), c.y());
    Values y = Trial(c, options).forward(c, x, w, e);
    Doubles want(sums.size());
    for (size_t i = 0; i < want.size(); ++i) {
      const size_t f = i % size_t(c.filters);
      want[i] = activate(activation, float((with_factors ? factors[f] : 1) * sums[i] + bias[f]));
      if (!with_factors) want[i] = activate(after, float(want[i] + residual[i]));
    }
    EXPECT_LE(relative_error({y.data(), c.y()}, want), 4e-6);
  };
  on_each_processor([&] {
    for (const Algorithm a : algorithms)
      for (const bool with_factors : {false, true}) {
        for (int kind = 0; kind <= int(Activation::softplus); ++kind)
          if (Activation(kind) != Activation::stair)  // which jumps: an error in the last digit is seen
            expect(a, Activation(kind), Activation::linear, with_factors);
        expect(a, Activation::mish, Activation::relu, with_factors);
        expect(a, Activation::leaky, Activation::swish, with_factors);
      }
  });
}

TEST(CpuConvolution, FinishesItsSums) {
  expect_finished({{1, 6, 7, 20}, 37, 3, 1, 1}, with_onednn({Algorithm::direct, Algorithm::winograd4}));
  expect_finished({{1, 11, 13, 20}, 37, 3, 2, 1}, {Algorithm::winograd4});
  for (const Case& c :
       {Case{{1, 6, 7, 20}, 8, 1}, Case{{1, 6, 7, 20}, 4, 3, 2, 1}, Case{{1, 5, 9, 24}, 24, 3, 1, 1, 1, 24},
        Case{{1, 5, 9, 24}, 24, 3, 2, 1, 1, 24}, Case{{1, 5, 9, 24}, 24, 3, 1, 1, 1, 6}})
    expect_finished(c, {Algorithm::direct});
}

// A value that is not a number must not be lost between the bounds of an activation.
TEST(CpuConvolution, KeepsWhatIsNotANumber) {
  on_each_processor([] {
    for (const Activation a : {Activation::relu, Activation::relu6, Activation::leaky, Activation::hardtan,
                               Activation::mish, Activation::logistic}) {
      const Case c{{1, 4, 4, 16}, 16, 1};
      CpuConvolution::Options options;
      options.training = false;
      options.activation = a;
      options.algorithm = Algorithm::direct;
      Values x = random_values(c.x, 1), w = random_values(c.weights(), 2);
      x[5] = NAN;
      const Values y = Trial(c, options).forward(c, x, w);
      for (size_t i = 0; i < y.size(); ++i)
        EXPECT_EQ(std::isnan(y[i]), i < 16) << kActivationNames[int(a)] << " " << i;
    }
  });
}

// Which thread computes a value changes nothing in it. Of few tiles threads share the filters.
TEST(CpuConvolution, IsTheSameOnEveryNumberOfThreads) {
  const int before = threads();
  const Case any{{2, 21, 19, 24}, 72, 3, 1, 1}, few_tiles{{1, 7, 9, 24}, 72, 3, 1, 1},
      depthwise{{2, 21, 19, 24}, 24, 3, 1, 1, 1, 24}, picture{{1, 23, 50, 3}, 5, 3, 1, 1};
  for (const auto& [c, a] :
       {std::pair(any, Algorithm::direct), std::pair(any, Algorithm::winograd2),
        std::pair(any, Algorithm::winograd4), std::pair(few_tiles, Algorithm::winograd2),
        std::pair(few_tiles, Algorithm::winograd4), std::pair(depthwise, Algorithm::direct),
        std::pair(picture, Algorithm::direct)}) {
    Values first[3];
    for (const int count : {1, 2, 3}) {
      set_threads(count);
      CpuConvolution::Options options;
      options.algorithm = a;
      Trial trial(c, options);
      Values x = random_values(c.x, 1), w = random_values(c.weights(), 2), dy = random_values(c.y(), 3);
      Values results[3] = {trial.forward(c, x, w), Values(x.size()), Values(w.size())};
      trial.convolution.backward_data({dy.data(), c.y()}, {w.data(), c.weights()}, {results[1].data(), c.x},
                                      false, trial.scratch);
      trial.convolution.backward_weights({x.data(), c.x}, {dy.data(), c.y()},
                                         {results[2].data(), c.weights()}, trial.scratch);
      for (int k = 0; k < 3; ++k) {
        if (count == 1) first[k] = results[k];
        EXPECT_EQ(results[k], first[k])
            << c.text() << ", " << kConvolutionAlgorithms[int(a)] << ", result " << k;
      }
    }
  }
  set_threads(before);
}

}  // namespace
}  // namespace osprey::convolution_tests
