// Winograd's algorithm: its errors, the two forms of its weights, and stride 2.
#include "core/parallel.h"
#include "tests/layers/simd/convolution_trial.h"

namespace osprey::convolution_tests {
namespace {

// Windows of 3x3 with stride 2, which are computed so in inference.
const std::vector<Case> kStridedCases = {{{2, 13, 13, 17}, 31, 3, 2, 1}, {{1, 6, 6, 40}, 70, 3, 2, 0},
                                         {{1, 20, 21, 32}, 64, 3, 2, 2}, {{1, 52, 52, 16}, 16, 3, 2, 1},
                                         {{1, 9, 30, 130}, 33, 3, 2, 1}, {{2, 26, 25, 64}, 70, 3, 2, 1}};

TEST(CpuConvolution, WinogradIsTheSumWithinItsBounds) {
  on_each_processor([] {
    for (const Case& c : kWinogradCases)
      for (const Algorithm a : {Algorithm::winograd2, Algorithm::winograd4, Algorithm::winograd6})
        expect_all_directions(c, a);
  });
}

// Training keeps the weights transformed; inference with few tiles transforms them as it uses them, 64
// channels at a time, and only so there are tiles of 5x5.
TEST(CpuConvolution, TransformsWeightsLateAndChangesNoDigit) {
  const int before = threads();
  std::vector<Case> cases = kWinogradCases;
  cases.insert(cases.end(), {{{1, 7, 9, 24}, 72, 3, 1, 1},
                             {{2, 13, 13, 130}, 70, 3, 1, 1},
                             {{1, 9, 30, 64}, 33, 3, 1, 1},
                             {{1, 5, 4, 127}, 17, 3, 1, 0}});
  on_each_processor([&] {
    for (const Case& c : cases) {
      Values x = random_values(c.x, 1), w = random_values(c.weights(), 2);
      const auto forward = [&](Algorithm asked_for, bool training, const char* runs) {
        CpuConvolution::Options options;
        options.training = training;
        options.needs_dx = false;
        options.algorithm = asked_for;
        Trial trial(c, options);
        EXPECT_TRUE(trial.convolution.algorithms().starts_with(runs)) << trial.convolution.algorithms();
        return trial.forward(c, x, w);
      };
      const Doubles y_true = true_sums(c, x, w);
      set_threads(1);
      Values of_five = forward(Algorithm::winograd5, false, "winograd5");
      EXPECT_LE(relative_error({of_five.data(), c.y()}, y_true), bound_of(Algorithm::winograd5)) << c.text();
      for (const int count : {1, 2, 3}) {
        SCOPED_TRACE(fmt::format("{}, {} threads", c.text(), count));
        set_threads(count);
        const Values kept = forward(Algorithm::winograd4, true, "winograd4, ");
        EXPECT_EQ(forward(Algorithm::winograd4, false, "winograd4 late"), kept);
        EXPECT_EQ(forward(Algorithm::winograd5, true, "winograd4, "), kept);
        EXPECT_EQ(forward(Algorithm::winograd5, false, "winograd5"), of_five);
      }
    }
  });
  set_threads(before);
}

TEST(CpuConvolution, WinogradTakesEverySecondWindow) {
  const int before = threads();
  on_each_processor([&] {
    for (const Case& c : kStridedCases) {
      Values x = random_values(c.x, 1), w = random_values(c.weights(), 2), first;
      const Doubles y_true = true_sums(c, x, w);
      for (const int count : {1, 2, 3}) {
        SCOPED_TRACE(fmt::format("{}, {} threads", c.text(), count));
        set_threads(count);
        CpuConvolution::Options options;
        options.training = false;
        options.algorithm = Algorithm::winograd4;
        Trial trial(c, options);
        EXPECT_EQ(trial.convolution.algorithms(), "winograd4 late");
        Values y = trial.forward(c, x, w);
        EXPECT_LE(relative_error({y.data(), c.y()}, y_true), bound_of(Algorithm::direct));
        if (first.empty()) first = y;
        EXPECT_EQ(y, first);
      }
    }
  });
  set_threads(before);
}

}  // namespace
}  // namespace osprey::convolution_tests
