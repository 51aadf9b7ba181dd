// Learning rates and sizes of multi-scale training, worked by hand from Darknet's rules.
#include "train/schedule.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

namespace osprey {
namespace {

NetSection net_of(Policy policy) {
  NetSection net;
  net.learning_rate = 0.1f;
  net.policy = policy;
  net.max_batches = 10;
  return net;
}

struct Rate {
  int64_t iteration;
  double rate;
};

void expect_rates(const NetSection& net, const std::vector<Rate>& rates) {
  for (const Rate& r : rates)
    EXPECT_NEAR(learning_rate(net, r.iteration, 0), r.rate, 1e-6 * r.rate) << "iteration " << r.iteration;
}

TEST(LearningRate, Constant) { expect_rates(net_of(Policy::constant), {{1, 0.1}, {1000, 0.1}}); }

// Darknet's log with burn_in=10 and a rate of 0.002 prints .000003 at iteration 2 and .000016 at 3.
TEST(LearningRate, RisesInBurnIn) {
  NetSection net = net_of(Policy::constant);
  net.learning_rate = 0.002f;
  net.burn_in = 10;
  expect_rates(net,
               {{1, 0.002 * 1e-4}, {2, 0.002 * 16e-4}, {3, 0.002 * 81e-4}, {9, 0.002 * 0.6561}, {10, 0.002}});
  net.power = 3;
  expect_rates(net, {{5, 0.002 / 8}});
}

// From a quarter to the whole over four iterations; the step at 4 lies within, and counts at once.
TEST(LearningRate, WarmUpMultipliesWhatThePolicySays) {
  NetSection net = net_of(Policy::steps);
  net.burn_in = 4;
  net.warmup = WarmUp::linear;
  net.warmup_start = 0.25f;
  net.steps = {4, 9};
  net.scales = {0.5f, 0.1f};
  expect_rates(net, {{1, 0.025}, {2, 0.04375}, {3, 0.0625}, {4, 0.040625}, {5, 0.05}, {8, 0.05}, {9, 0.005}});
  net.warmup = WarmUp::constant;
  expect_rates(net, {{1, 0.025}, {3, 0.025}, {4, 0.0125}, {5, 0.05}});
}

TEST(LearningRate, StepFallsAfterEachStep) {
  NetSection net = net_of(Policy::step);
  net.step = 3;
  net.scale = 0.5f;
  expect_rates(net, {{1, 0.1}, {2, 0.1}, {3, 0.05}, {5, 0.05}, {6, 0.025}});
}

TEST(LearningRate, StepsAreCountedFromTheStartEvenInBurnIn) {
  NetSection net = net_of(Policy::steps);
  net.steps = {5, 8};
  net.scales = {0.1f, 0.5f};
  expect_rates(net, {{1, 0.1}, {4, 0.1}, {5, 0.01}, {7, 0.01}, {8, 0.005}, {100, 0.005}});
  net.steps = {-1, 8};  // scaled from the start, as in YOLOv2's files
  expect_rates(net, {{1, 0.01}, {7, 0.01}, {8, 0.005}});
  net.steps = {5, 8};
  net.burn_in = 6;  // the step at 5 lies within: it counts once burn-in is over
  expect_rates(net, {{5, 0.1 * std::pow(5.0 / 6, 4)}, {6, 0.01}});
}

TEST(LearningRate, ExponentialPolynomialAndSigmoid) {
  NetSection net = net_of(Policy::exp);
  net.gamma = 0.9f;
  expect_rates(net, {{1, 0.09}, {2, 0.081}, {3, 0.0729}});
  net = net_of(Policy::poly);
  net.power = 2;
  expect_rates(net, {{5, 0.1 * 0.25}, {9, 0.1 * 0.01}});
  EXPECT_EQ(learning_rate(net, 10, 0), 0);
  EXPECT_EQ(learning_rate(net, 11, 0), 0);  // beyond the end it stays there, and is no NaN
  net = net_of(Policy::sigmoid);
  net.gamma = 0.5f;
  net.step = 4;
  expect_rates(net, {{2, 0.1 * 0.7310585786}, {4, 0.05}, {6, 0.1 * 0.2689414214}});
}

TEST(LearningRate, CosinesWithWarmRestarts) {
  NetSection net = net_of(Policy::sgdr);
  net.learning_rate_min = 0.001f;
  net.sgdr_cycle = 4;
  net.sgdr_mult = 2;
  const double half = 0.0495;
  expect_rates(net, {{2, 0.001 + half},
                     {4, 0.001},
                     {5, 0.001 + half * (1 + std::cos(M_PI / 8))},
                     {8, 0.001 + half},
                     {12, 0.001},
                     {13, 0.001 + half * (1 + std::cos(M_PI / 16))}});
}

TEST(LearningRate, RandomIsDrawnFromTheSeedAndTheIterationAlone) {
  NetSection net = net_of(Policy::random);
  net.power = 1;
  std::set<float> rates;
  double sum = 0;
  for (int i = 1; i <= 1000; ++i) {
    const float rate = learning_rate(net, i, 7);
    EXPECT_EQ(rate, learning_rate(net, i, 7));
    EXPECT_GE(rate, 0);
    EXPECT_LT(rate, 0.1f);
    rates.insert(rate);
    sum += rate;
  }
  EXPECT_GT(rates.size(), 990u);
  EXPECT_NEAR(sum / 1000, 0.05, 0.005);  // five deviations of the mean of 1000 uniform numbers
  EXPECT_NE(learning_rate(net, 1, 7), learning_rate(net, 1, 8));
}

NetSection net_of(int width, int height, int64_t max_batches) {
  NetSection net;
  net.width = width;
  net.height = height;
  net.max_batches = max_batches;
  return net;
}

TEST(MultiScale, IsOffAtZero) {
  const MultiScale scale(net_of(416, 288, 1000), 0, 1);
  EXPECT_FALSE(scale.on());
  for (const int i : {0, 10, 555, 999}) EXPECT_EQ(scale.size(i), std::pair(416, 288));
  EXPECT_EQ(scale.largest(), std::pair(416, 288));
}

// Darknet's README: 416 becomes 320 to 608, 608 becomes 480 to 896.
TEST(MultiScale, ReachesFrom320To608For416) {
  for (const auto& [size, least, most] : {std::tuple(416, 320, 608), std::tuple(608, 480, 896)}) {
    const MultiScale scale(net_of(size, size, 100000), 1, 3);
    int smallest = 10000, largest = 0;
    for (int i = 0; i < 20000; i += 10) {
      const auto [w, h] = scale.size(i);
      EXPECT_EQ(w, h);
      EXPECT_EQ(w % 32, 0);
      EXPECT_EQ(scale.size(i + 9), std::pair(w, h));  // the same for ten iterations
      smallest = std::min(smallest, w);
      largest = std::max(largest, w);
    }
    EXPECT_EQ(smallest, least);
    EXPECT_EQ(largest, most);
  }
}

TEST(MultiScale, StartsAndEndsWithTheLargest) {
  const MultiScale scale(net_of(416, 416, 1000), 1, 3);
  EXPECT_EQ(scale.size(0), std::pair(608, 608));
  EXPECT_EQ(scale.size(9), std::pair(608, 608));
  for (int i = 900; i < 1000; ++i) EXPECT_EQ(scale.size(i), std::pair(608, 608));
  std::set<int> between;
  for (int i = 10; i < 900; ++i) between.insert(scale.size(i).first);
  EXPECT_GT(between.size(), 4u);
}

// What Darknet does with 96: factors below 1 would round up to more than 96, and become 96.
TEST(MultiScale, OfSmallNetworksTakesTheirOwnSizeHalfOfTheTime) {
  const MultiScale scale(net_of(96, 96, 100000), 1, 5);
  int own = 0;
  std::set<int> sizes;
  for (int i = 10; i < 20010; i += 10) {
    sizes.insert(scale.size(i).first);
    own += scale.size(i).first == 96;
  }
  EXPECT_EQ(sizes, (std::set<int>{96, 128, 160}));
  EXPECT_NEAR(own / 2000.0, 0.5, 0.06);  // five deviations
}

TEST(MultiScale, KeepsTheAspectAndTakesAFactorOfItsOwn) {
  const MultiScale scale(net_of(640, 320, 100000), 2, 5);
  EXPECT_EQ(scale.largest(), std::pair(1312, 672));
  for (int i = 10; i < 2000; i += 10) {
    const auto [w, h] = scale.size(i);
    EXPECT_NEAR(double(w) / h, 2, 0.3) << w << "x" << h;  // each side is rounded to 32 by itself
  }
}

}  // namespace
}  // namespace osprey
