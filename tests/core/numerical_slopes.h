// Slopes of a function of a box, measured: what formulas of slopes are compared with.
#pragma once

#include <array>
#include <vector>

#include "core/box.h"
#include "core/random.h"

namespace osprey::test {

using Corners = std::array<double, 4>;  // x1, y1, x2, y2

inline Corners exact(Box b) { return {b.x1, b.y1, b.x2, b.y2}; }

// Central differences in double of a definition that knows nothing of our formulas.
template <class Function>
Corners numerical_slopes(Function&& f, const Corners& at) {
  constexpr double kStep = 1e-5;
  Corners slopes{};
  for (int i = 0; i < 4; ++i) {
    Corners below = at, above = at;
    below[i] -= kStep;
    above[i] += kStep;
    slopes[i] = (f(above) - f(below)) / (2 * kStep);
  }
  return slopes;
}

// Pairs of boxes of 1 to 30 pixels, about half of which overlap, with coordinates that are nowhere equal.
inline std::vector<std::array<Box, 2>> pairs_of_boxes(int count, uint64_t seed) {
  std::vector<std::array<Box, 2>> pairs(static_cast<size_t>(count));
  for (size_t i = 0; i < pairs.size(); ++i)
    for (size_t k = 0; k < 2; ++k) {
      Random random(seed, Purpose::test, k, i);
      const float x = random.uniform(0, 30), y = random.uniform(0, 30);
      pairs[i][k] = {x, y, x + random.uniform(1, 30), y + random.uniform(1, 30)};
    }
  return pairs;
}

}  // namespace osprey::test
