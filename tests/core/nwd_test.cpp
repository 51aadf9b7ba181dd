// NWD and DotD: drawn examples, and slopes against differences of the definitions.
#include "core/nwd.h"

#include <gtest/gtest.h>

#include "tests/core/numerical_slopes.h"

namespace osprey {
namespace {

constexpr float kC = 12.8f, kEps = 1e-6f;

// Centres 3 and 4 apart: 5. Half the differences of width and height: 2 and 0.
TEST(Nwd, CountsCentresAndSizes) {
  const Box a = {0, 0, 4, 4}, moved = {3, 4, 7, 8}, wider = {-2, 0, 6, 4};
  EXPECT_FLOAT_EQ(squared_wasserstein(a, moved), 25);
  EXPECT_FLOAT_EQ(squared_wasserstein(a, wider), 4);
  EXPECT_FLOAT_EQ(nwd(a, moved, 10), std::exp(-0.5f));
  EXPECT_FLOAT_EQ(nwd(a, wider, 10), std::exp(-0.2f));
  EXPECT_FLOAT_EQ(dotd(a, moved, 10), std::exp(-0.5f));
  EXPECT_EQ(dotd(a, wider, 10), 1);
  EXPECT_EQ(nwd(a, a, kC), 1);
  EXPECT_FLOAT_EQ(nwd(a, a, kC, kEps), std::exp(-1e-3f / kC));
}

double distance(const test::Corners& a, Box b, bool sizes) {
  const double dx = (a[0] + a[2] - b.x1 - b.x2) / 2, dy = (a[1] + a[3] - b.y1 - b.y2) / 2;
  const double dw = a[2] - a[0] - b.width(), dh = a[3] - a[1] - b.height();
  return std::sqrt(dx * dx + dy * dy + kEps + (sizes ? (dw * dw + dh * dh) / 4 : 0));
}

// Slopes are up to 1/C; floats of coordinates up to 60 leave about 1e-5 of them.
TEST(Nwd, SlopesAreThoseOfTheDefinition) {
  for (const auto& [a, b] : test::pairs_of_boxes(40, 1))
    for (const bool sizes : {true, false}) {
      const test::Corners want = test::numerical_slopes(
          [&, b = b](const test::Corners& at) { return std::exp(-distance(at, b, sizes) / double(kC)); },
          test::exact(a));
      const test::Corners got = test::exact(sizes ? nwd_slopes(a, b, kC, kEps) : dotd_slopes(a, b, kC, kEps));
      for (size_t i = 0; i < 4; ++i) EXPECT_NEAR(got[i], want[i], 2e-6) << "corner " << i;
    }
}

TEST(Nwd, HasNoSlopeAtItsPeak) {
  const Box a = {1, 2, 9, 5};
  for (const float eps : {0.0f, kEps})
    for (const Box& slopes : {nwd_slopes(a, a, kC, eps), dotd_slopes(a, a, kC, eps)}) {
      EXPECT_EQ(slopes.x1, 0);
      EXPECT_EQ(slopes.y2, 0);
    }
}

}  // namespace
}  // namespace osprey
