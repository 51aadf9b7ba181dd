#include "core/gmm.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace osprey {
namespace {

MixtureFit fitted(const std::vector<float>& x, const MixtureRule& rule = {}) {
  const int count = int(x.size());
  std::vector<Expectation> expected(x.size());
  MixtureFit fit(*std::min_element(x.begin(), x.end()), *std::max_element(x.begin(), x.end()));
  for (; !fit.done(rule); fit.improve(x.data(), expected.data(), count, rule))
    for (int i = 0; i < count; ++i) expected[i] = expectation(fit.mixture, x[i]);
  return fit;
}

// Groups so far apart that each sample is of one component alone: then mean and variance are the groups' own,
// the latter with the regularisation.
TEST(TwoGaussians, FitTwoGroups) {
  const MixtureFit fit = fitted({1, 100, 3, 104, 2});
  EXPECT_TRUE(fit.converged);
  EXPECT_NEAR(fit.mixture.mean[0], 2, 1e-12);
  EXPECT_NEAR(fit.mixture.mean[1], 102, 1e-12);
  EXPECT_NEAR(fit.mixture.variance[0], 2. / 3 + 1e-6, 1e-12);
  EXPECT_NEAR(fit.mixture.variance[1], 4 + 1e-6, 1e-12);
  EXPECT_NEAR(fit.mixture.weight[0], .6, 1e-12);
  EXPECT_NEAR(fit.mixture.weight[1], .4, 1e-12);
}

TEST(TwoGaussians, DensityAndShares) {
  TwoGaussians mixture;
  mixture.weight[0] = .2, mixture.weight[1] = .8;
  mixture.mean[1] = 1, mixture.variance[1] = 4;
  const double a = .2 / std::sqrt(2 * M_PI) * std::exp(-.125);
  const double b = .8 / std::sqrt(8 * M_PI) * std::exp(-.25 / 8);
  const Expectation e = expectation(mixture, .5);
  EXPECT_NEAR(e.log_density, std::log(a + b), 1e-12);
  EXPECT_NEAR(e.share[0], a / (a + b), 1e-12);
  EXPECT_NEAR(e.share[1], b / (a + b), 1e-12);
  EXPECT_EQ(e.component(), 1);
  EXPECT_TRUE(std::isfinite(expectation(mixture, 1e6).log_density));  // where both densities are 0 in double
}

TEST(TwoGaussians, StopsWhenTheLikelihoodStays) {
  const std::vector<float> x = {0, .5f, 1, 1.5f, 2, 4, 5, 6};
  const MixtureFit loose = fitted(x, {1e-1, 100, 1e-6}), tight = fitted(x, {1e-9, 1000, 1e-6});
  EXPECT_TRUE(loose.converged && tight.converged);
  EXPECT_LT(loose.iterations, tight.iterations);
  const MixtureFit cut = fitted(x, {1e-9, 3, 1e-6});
  EXPECT_EQ(cut.iterations, 3);
  EXPECT_FALSE(cut.converged);
}

TEST(TwoGaussians, SamplesThatAreAllEqual) {
  const MixtureFit fit = fitted({3, 3, 3});
  EXPECT_NEAR(fit.mixture.mean[0], 3, 1e-12);  // but for the guard of the division
  EXPECT_NEAR(fit.mixture.variance[1], 1e-6, 1e-12);
  EXPECT_NEAR(fit.mixture.weight[0], .5, 1e-12);
}

Expectation of(int component, double log_density) {
  return {{component == 0 ? .9 : .1, component == 0 ? .1 : .9}, log_density};
}

TEST(LowerGroup, EndsWhereItIsDensest) {
  const std::vector<float> x = {.4f, .1f, .3f, .2f, .9f};
  // The densest sample of all is of the other component.
  EXPECT_EQ(end_of_lower_group(x.data(),
                               std::vector{of(0, -3), of(0, -2), of(0, -1), of(1, 0), of(1, -1)}.data(), 5),
            2);
  // Of equal densities the lowest sample.
  EXPECT_EQ(end_of_lower_group(x.data(),
                               std::vector{of(0, -1), of(0, -2), of(0, -1), of(1, 0), of(1, -1)}.data(), 5),
            2);
}

TEST(LowerGroup, WithoutTheFirstComponentIsEverything) {
  const std::vector<float> x = {.4f, .9f, .1f, .9f};
  EXPECT_EQ(end_of_lower_group(x.data(), std::vector(4, of(1, 0)).data(), 4), 3);  // the last of equal ones
}

TEST(LowerGroup, OfEqualSamplesEndsAtTheFirst) {
  const std::vector<float> x = {.5f, .5f, .5f};
  EXPECT_EQ(end_of_lower_group(x.data(), std::vector(3, of(0, 0)).data(), 3), 0);
}

}  // namespace
}  // namespace osprey
