// One update of the parameters, by hand.
#include "train/sgd.h"

#include <gtest/gtest.h>

#include <cmath>

namespace osprey {
namespace {

class Sgd : public testing::Test {
 protected:
  Sgd() {
    add("0.weights", Role::weights, 1);
    add("0.biases", Role::offset, 1);
    add("0.rolling_mean", Role::statistic, 1);
    add("1.weights", Role::weights, 2);
    add("2.weights", Role::weights, 0);
    parameters_.allocate(true);
    for (const ParameterSpan& s : parameters_.spans())
      for (int i = 0; i < 3; ++i) parameters_.value(s)[i] = float(i + 1);
    put_gradients(2);
  }
  void add(const char* name, Role role, float rate) {
    ParameterSpan span{};
    span.name = name;
    span.shape = {1, 1, 1, 3};
    span.info = {name, role};
    span.rate = rate;
    parameters_.add(span);
  }
  void put_gradients(float g) {
    for (const ParameterSpan& s : parameters_.spans())
      for (float& v : parameters_.gradient(s)) v = g;
  }
  float value(int span, int i) { return parameters_.value(parameters_.spans()[size_t(span)])[i]; }

  Parameters parameters_;
};

// decay 0.1 and batch 4: v = 2 + 0.4 w, w -= 0.01 / 4 v; then v' = 0.9 v + 1 + 0.4 w.
TEST_F(Sgd, MomentumDecayAndRateAreDarknets) {
  sgd_step(parameters_, {0.01f, 0.9f, 0.1f, 4});
  EXPECT_FLOAT_EQ(value(0, 0), 1 - 0.0025f * 2.4f);
  EXPECT_FLOAT_EQ(value(0, 2), 3 - 0.0025f * 3.2f);
  EXPECT_FLOAT_EQ(value(1, 0), 1 - 0.0025f * 2);    // an offset does not decay
  EXPECT_EQ(value(2, 0), 1);                        // a statistic is not trained
  EXPECT_FLOAT_EQ(value(3, 0), 1 - 0.005f * 2.4f);  // twice the rate
  EXPECT_EQ(value(4, 2), 3);                        // frozen: decay does not touch it either
  for (const ParameterSpan& s : parameters_.spans())
    if (s.info.role != Role::statistic) {
      for (float g : parameters_.gradient(s)) EXPECT_EQ(g, 0) << s.name;
    }

  put_gradients(1);
  sgd_step(parameters_, {0.01f, 0.9f, 0.1f, 4});
  const float w = 1 - 0.0025f * 2.4f, v = 0.9f * 2.4f + 1 + 0.4f * w;
  EXPECT_NEAR(value(0, 0), w - 0.0025f * v, 1e-7);
}

// The rate is outside of the momentum: a lower one slows at once what is under way.
TEST_F(Sgd, AChangeOfRateActsOnTheWholeMomentum) {
  sgd_step(parameters_, {0.1f, 0.5f, 0, 1});
  EXPECT_FLOAT_EQ(value(1, 0), 1 - 0.1f * 2);
  sgd_step(parameters_, {0.001f, 0.5f, 0, 1});
  EXPECT_FLOAT_EQ(value(1, 0), 1 - 0.1f * 2 - 0.001f * 1);
}

TEST_F(Sgd, AGradientThatIsNotFiniteIsFound) {
  EXPECT_EQ(first_not_finite_gradient(parameters_), nullptr);
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    put_gradients(3e38f);  // large is not infinite
    EXPECT_EQ(first_not_finite_gradient(parameters_), nullptr);
    parameters_.gradient(parameters_.spans()[2])[1] = bad;  // that of a statistic is nobody's
    EXPECT_EQ(first_not_finite_gradient(parameters_), nullptr);
    parameters_.gradient(parameters_.spans()[3])[2] = bad;
    ASSERT_NE(first_not_finite_gradient(parameters_), nullptr);
    EXPECT_EQ(first_not_finite_gradient(parameters_)->name, "1.weights");
  }
}

}  // namespace
}  // namespace osprey
