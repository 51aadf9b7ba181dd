#include "core/exponential.h"

#include <gtest/gtest.h>

#include <limits>

namespace osprey {
namespace {

// Units in the last place of a normal float: 2^-23 of its power of two, here at most of its value.
TEST(Exponential, IsExactButForTwoUnits) {
  for (int i = -87000; i <= 88000; i += 7) {
    const float x = float(i) / 1000;
    const double want = std::exp(double(x));
    ASSERT_NEAR(exponential(x) / want, 1, 2 * 0x1p-23) << x;
  }
  EXPECT_EQ(exponential(0), 1);
}

TEST(Exponential, EndsAreFinite) {
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(exponential(-infinity), exponential(-87.3f));
  EXPECT_EQ(exponential(infinity), exponential(88));
  EXPECT_LT(exponential(88), infinity);
  EXPECT_GT(exponential(-87.3f), 0);
  EXPECT_TRUE(std::isnan(exponential(std::numeric_limits<float>::quiet_NaN())));
}

}  // namespace
}  // namespace osprey
