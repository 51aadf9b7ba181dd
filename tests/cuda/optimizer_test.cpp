#include "cuda/optimizer.h"

#include "tests/cuda/kernel_test.h"

namespace osprey::test {
namespace {

constexpr int kLines = 6;
constexpr int kCount = kLines * kLineFloats;

// Weights of two lines, biases, a statistic, a layer with a rate of its own, a frozen one.
const std::vector<int> kSpanOfLine = {0, 0, 1, 2, 3, 4};
const std::vector<SpanRule> kSpans = {
    {1, 0.25f, true}, {1, 0, true}, {1, 0.25f, false}, {2, 0.25f, true}, {0, 0.25f, true}};

// All that the optimizers change.
struct State {
  Values values = coarse_values(kCount, 1), gradients, momentum = coarse_values(kCount, 2),
         squares = Values(kCount, 0.5f), average = Values(kCount, 7);
  std::vector<bf16> copy = std::vector<bf16>(kCount, bf16(9));
  Faults faults;
  Step step;

  ParameterLines lines(bool averaged, bool copied) {
    return {kLines,
            values.data(),
            gradients.data(),
            momentum.data(),
            squares.data(),
            averaged ? average.data() : nullptr,
            copied ? copy.data() : nullptr,
            kSpanOfLine.data(),
            kSpans.data()};
  }
  void next(int64_t iteration) {
    gradients = coarse_values(kCount, 10 + iteration);
    step.iteration = iteration;
    step.learning_rate = iteration == 1 ? 0.125f : 0.25f;
  }
};

struct Expected {
  std::vector<double> values, momentum, squares, average;
  explicit Expected(const State& s)
      : values(s.values.begin(), s.values.end()),
        momentum(s.momentum.begin(), s.momentum.end()),
        squares(s.squares.begin(), s.squares.end()),
        average(s.average.begin(), s.average.end()) {}

  // Of iteration t of an average over iterations 2 .. 4.
  void follow(int i, int64_t t) {
    if (t == 2) average[i] = values[i];
    if (t == 3) average[i] = 0.75 * average[i] + 0.25 * values[i];
    if (t == 4) values[i] = average[i];
  }
};

constexpr WeightAveraging kAveraging = {0.75f, 2, 4};

void expect_copied(const State& state) {
  for (int i = 0; i < kCount; ++i) {
    const bool trained = kSpans[kSpanOfLine[i / kLineFloats]].trained;
    ASSERT_EQ(float(state.copy[i]), trained ? float(bf16(state.values[i])) : 9) << i;
    ASSERT_EQ(state.gradients[i] == 0, trained || coarse_values(kCount, 15)[i] == 0) << i;
  }
}

// Coarse values times powers of two: exact, hence equal bits.
TEST(OptimizerKernel, SgdIsItsFormula) {
  Stream s;
  in_all_orders([&] {
    State state;
    Expected want(state);
    for (int64_t t = 1; t <= 3; ++t) {
      state.next(t);
      for (int i = 0; i < kCount; ++i) {
        const SpanRule& span = kSpans[kSpanOfLine[i / kLineFloats]];
        if (!span.trained || span.rate == 0) continue;
        want.momentum[i] = 0.5 * want.momentum[i] + state.gradients[i] + span.decay * want.values[i];
        want.values[i] -= state.step.learning_rate * span.rate * want.momentum[i];
      }
      cuda::sgd_step(s, state.lines(false, false), {0.5f}, {}, &state.step, &state.faults);
      EXPECT_EQ(std::vector<double>(state.values.begin(), state.values.end()), want.values);
      EXPECT_EQ(std::vector<double>(state.momentum.begin(), state.momentum.end()), want.momentum);
    }
    EXPECT_EQ(state.average, Values(kCount, 7));
    EXPECT_EQ(float(state.copy[0]), 9);
  });
}

// Five steps of a dozen roundings each, on values of at most 2.
TEST(OptimizerKernel, AdamAndTheAverageAreTheirFormulas) {
  Stream s;
  constexpr double kBeta1 = 0.9f, kBeta2 = 0.999f, kEpsilon = 1e-3f, kTolerance = 5 * 12 * 0x1p-24;
  in_all_orders([&] {
    State state;
    Expected want(state);
    for (int64_t t = 1; t <= 5; ++t) {
      state.next(t);
      for (int i = 0; i < kCount; ++i) {
        const SpanRule& span = kSpans[kSpanOfLine[i / kLineFloats]];
        if (!span.trained) continue;
        if (span.rate == 0) {
          want.follow(i, t);
          continue;
        }
        const double g = state.gradients[i] + span.decay * want.values[i];
        double &m = want.momentum[i], &v = want.squares[i];
        m = kBeta1 * m + (1 - kBeta1) * g;
        v = kBeta2 * v + (1 - kBeta2) * g * g;
        const double mean = m / (1 - std::pow(kBeta1, t)), square = v / (1 - std::pow(kBeta2, t));
        want.values[i] -= state.step.learning_rate * span.rate * mean / (std::sqrt(square) + kEpsilon);
        want.follow(i, t);
      }
      cuda::adam_step(s, state.lines(true, true), {float(kBeta1), float(kBeta2), float(kEpsilon)}, kAveraging,
                      &state.step, &state.faults);
      for (int i = 0; i < kCount; ++i) {
        ASSERT_NEAR(state.values[i], want.values[i], kTolerance) << i << " of step " << t;
        ASSERT_NEAR(state.average[i], want.average[i], kTolerance) << i << " of step " << t;
        ASSERT_NEAR(state.squares[i], want.squares[i], kTolerance) << i << " of step " << t;
      }
    }
    expect_copied(state);
    EXPECT_NE(state.values[0], state.average[0]);  // after the last iteration they part again
  });
}

// Five steps of a dozen roundings each, on values of at most 4.
TEST(OptimizerKernel, RmsPropIsItsFormula) {
  Stream s;
  constexpr double kMomentum = 0.5, kAlpha = 0.75, kEpsilon = 0x1p-4, kTolerance = 5 * 12 * 0x1p-22;
  in_all_orders([&] {
    State state;
    Expected want(state);
    for (int64_t t = 1; t <= 5; ++t) {
      state.next(t);
      for (int i = 0; i < kCount; ++i) {
        const SpanRule& span = kSpans[kSpanOfLine[i / kLineFloats]];
        if (!span.trained) continue;
        if (span.rate == 0) {
          want.follow(i, t);
          continue;
        }
        const double g = state.gradients[i] + span.decay * want.values[i];
        want.squares[i] = kAlpha * want.squares[i] + (1 - kAlpha) * g * g;
        want.momentum[i] = kMomentum * want.momentum[i] + g / (std::sqrt(want.squares[i]) + kEpsilon);
        want.values[i] -= state.step.learning_rate * span.rate * want.momentum[i];
        want.follow(i, t);
      }
      cuda::rmsprop_step(s, state.lines(true, true), {float(kMomentum), float(kAlpha), float(kEpsilon)},
                         kAveraging, &state.step, &state.faults);
      for (int i = 0; i < kCount; ++i) {
        ASSERT_NEAR(state.values[i], want.values[i], kTolerance) << i << " of step " << t;
        ASSERT_NEAR(state.momentum[i], want.momentum[i], kTolerance) << i << " of step " << t;
        ASSERT_NEAR(state.squares[i], want.squares[i], kTolerance) << i << " of step " << t;
        ASSERT_NEAR(state.average[i], want.average[i], kTolerance) << i << " of step " << t;
      }
    }
    expect_copied(state);
  });
}

TEST(OptimizerKernel, AFaultLeavesEverythingAsItWas) {
  Stream s;
  for (const bool loss : {false, true}) {
    State state;
    state.next(3);
    (loss ? state.faults.loss : state.faults.span) = 0;
    const State before = state;
    const ParameterLines p = state.lines(true, true);
    cuda::sgd_step(s, p, {0.5f}, kAveraging, &state.step, &state.faults);
    cuda::adam_step(s, p, {}, kAveraging, &state.step, &state.faults);
    cuda::rmsprop_step(s, p, {}, kAveraging, &state.step, &state.faults);
    EXPECT_EQ(state.values, before.values);
    EXPECT_EQ(state.gradients, before.gradients);
    EXPECT_EQ(state.momentum, before.momentum);
    EXPECT_EQ(state.squares, before.squares);
    EXPECT_EQ(state.average, before.average);
    EXPECT_EQ(float(state.copy[0]), 9);
  }
}

TEST(OptimizerKernel, TheFirstGradientThatIsNotFiniteIsNamed) {
  Stream s;
  in_all_orders([&] {
    for (const float bad : {NAN, INFINITY, -INFINITY}) {
      State state;
      state.gradients.assign(kCount, 3e38f);  // large is not infinite
      const ParameterLines p = state.lines(false, false);
      state.gradients[3 * kLineFloats + 5] = bad;  // that of a statistic is nobody's
      cuda::check_gradients(s, p, &state.faults);
      EXPECT_FALSE(state.faults.any());
      state.gradients[5 * kLineFloats] = bad;
      cuda::check_gradients(s, p, &state.faults);
      EXPECT_EQ(state.faults.span, 4);
      state.gradients[2 * kLineFloats - 1] = state.gradients[2 * kLineFloats] = bad;
      cuda::check_gradients(s, p, &state.faults);
      EXPECT_EQ(state.faults.span, 0);
      EXPECT_EQ(state.faults.loss, Faults::kNone);
      cuda::clear_faults(s, &state.faults);
      EXPECT_FALSE(state.faults.any());
    }
  });
}

TEST(OptimizerKernel, TheFirstLossThatIsNotFiniteIsNamed) {
  Stream s;
  in_all_orders([&] {
    std::vector<LossReport> losses(300);
    losses[7].loss = 1e300;
    Faults faults;
    cuda::check_losses(s, losses.data(), 300, &faults);
    EXPECT_FALSE(faults.any());
    losses[299].loss = NAN;
    losses[270].loss = INFINITY;
    cuda::check_losses(s, losses.data(), 300, &faults);
    EXPECT_EQ(faults.loss, 270);
    EXPECT_EQ(faults.span, Faults::kNone);
    losses.assign(300, {});
    cuda::check_losses(s, losses.data(), 300, &faults);
    EXPECT_EQ(faults.loss, 270);  // what a mini-batch found stays for the iteration
  });
}

}  // namespace
}  // namespace osprey::test
