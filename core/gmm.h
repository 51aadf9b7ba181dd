// A mixture of two normal distributions of one variable, fitted to samples by expectation maximisation, for
// both devices: in double, with the start, the stop and the guards of scikit-learn's GaussianMixture.
// "Maximum Likelihood from Incomplete Data via the EM Algorithm", Dempster et al., JRSS B 39, 1977.
#pragma once

#include <cmath>

#include "core/device.h"

namespace osprey {

struct MixtureRule {
  double tolerance = 1e-3;       // stops when the mean log-likelihood changes by less,
  int most_iterations = 100;     // or after these
  double regularisation = 1e-6;  // added to variances
};

struct TwoGaussians {
  double weight[2] = {.5, .5}, mean[2] = {0, 0}, variance[2] = {1, 1};

  // Of component k, times its weight.
  HOST_DEVICE double log_density(int k, double x) const {
    constexpr double kTwoPi = 6.283185307179586;
    const double apart = x - mean[k];
    return log(weight[k]) - (log(kTwoPi * variance[k]) + apart * apart / variance[k]) / 2;
  }
};

// What a mixture says of one sample.
struct Expectation {
  double share[2];     // how likely each component made it
  double log_density;  // of the mixture

  HOST_DEVICE int component() const { return share[1] > share[0] ? 1 : 0; }
};
HOST_DEVICE inline Expectation expectation(const TwoGaussians& mixture, double x) {
  const double a = mixture.log_density(0, x), b = mixture.log_density(1, x), larger = fmax(a, b);
  const double log_density = larger + log(exp(a - larger) + exp(b - larger));
  return {{exp(a - log_density), exp(b - log_density)}, log_density};
}

// Starts with the two means at the lowest and the highest sample. Who fits alternates: the expectation of
// each sample under `mixture`, for which a GPU has many threads, then, unless done, improve().
struct MixtureFit {
  TwoGaussians mixture;
  double log_likelihood = -HUGE_VAL;  // mean of the samples, before the last improvement
  int iterations = 0;
  bool converged = false;

  HOST_DEVICE MixtureFit(double lowest, double highest) {
    mixture.mean[0] = lowest;
    mixture.mean[1] = highest;
  }
  HOST_DEVICE bool done(const MixtureRule& rule) const {
    return converged || iterations >= rule.most_iterations;
  }

  // Sums in the order of the samples: the same on each device.
  HOST_DEVICE void improve(const float* x, const Expectation* expected, int count, const MixtureRule& rule) {
    double likelihood = 0;
    for (int i = 0; i < count; ++i) likelihood += expected[i].log_density;
    likelihood /= count;
    for (int k = 0; k < 2; ++k) {
      double shares = 10 * 0x1p-52, sum = 0, squares = 0;  // a component that has no sample divides by this
      for (int i = 0; i < count; ++i) {
        shares += expected[i].share[k];
        sum += expected[i].share[k] * x[i];
      }
      const double mean = sum / shares;
      for (int i = 0; i < count; ++i) squares += expected[i].share[k] * (x[i] - mean) * (x[i] - mean);
      mixture.weight[k] = shares / count;
      mixture.mean[k] = mean;
      mixture.variance[k] = squares / shares + rule.regularisation;
    }
    converged = fabs(likelihood - log_likelihood) < rule.tolerance;
    log_likelihood = likelihood;
    ++iterations;
  }
};

// Splits the samples in two groups, of low and of high values: returns the last of the lower group when they
// are sorted. That is the sample of the first component where the mixture is densest, of equal ones the
// first; where the first component has no sample, the highest of all.
// "Probabilistic Anchor Assignment with IoU Prediction for Object Detection", Kim and Lee, ECCV 2020,
// figure 3 (c).
HOST_DEVICE inline int end_of_lower_group(const float* x, const Expectation* expected, int count) {
  int densest = -1, highest = 0;
  for (int i = 0; i < count; ++i) {
    if (x[i] >= x[highest]) highest = i;
    if (expected[i].component() != 0) continue;
    const double gain = densest < 0 ? 1 : expected[i].log_density - expected[densest].log_density;
    if (gain > 0 || (gain == 0 && x[i] < x[densest])) densest = i;
  }
  return densest < 0 ? highest : densest;
}

}  // namespace osprey
