// From the loss of a head to the weights of the backbone, by differences.
#pragma once

#include <gtest/gtest.h>

#include <cmath>

#include "tests/models/networks.h"

namespace osprey {

inline double loss_of(Network& network, int head) {
  network.clear_losses();
  network.forward();
  return network.losses()[size_t(head)].loss;
}

inline double slope_of_loss(Network& network, int head, float& value, float step) {
  const float before = value;
  value = before + step;
  const double above = loss_of(network, head);
  value = before - step;
  const double below = loss_of(network, head);
  value = before;
  return (above - below) / (2 * step);
}

// Matching and sampling must not depend on the weights: the loss is differentiated as it is, along every
// thirteenth parameter. Overlaps have kinks where corners meet, and a step that crosses one is wrong: a smaller
// one must then be right. At the smallest, float passes leave about 2e-7 / 6e-4 of noise.
inline void expect_gradients_of_the_backbone(Network& network, int head) {
  Parameters& parameters = network.parameters();
  parameters.zero_gradients();
  loss_of(network, head);
  EXPECT_GT(network.losses()[size_t(head)].matched, 0);
  network.backward();
  double largest = 0;
  int checked = 0, crossed = 0;
  for (const ParameterSpan& span : parameters.spans())
    for (int i = 0; i < span.shape.size(); i += 13, ++checked) {
      const float gradient = parameters.gradient(span)[i];
      const double tolerance = 5e-3 * std::max(1.0, std::fabs(double(gradient)));
      double slope = 0;
      for (const float step : {1e-2f, 3e-4f}) {
        slope = slope_of_loss(network, head, parameters.value(span)[i], step);
        if (std::fabs(slope - gradient) <= tolerance) break;
        ++crossed;
      }
      ASSERT_NEAR(gradient, slope, tolerance) << span.name << " " << i;
      if (span.layer == 0) largest = std::max(largest, std::fabs(slope));
    }
  EXPECT_GT(largest, 0.05);  // of the first convolution
  EXPECT_LT(crossed, checked / 10);
}

}  // namespace osprey
