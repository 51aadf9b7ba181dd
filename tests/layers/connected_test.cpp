#include "tests/layers/harness.h"

namespace osprey {
namespace {

TEST(connected, multiplies_by_a_matrix) {
  SingleLayer layer("[connected]\noutput=2\nactivation=linear", {{1, 1, 2, 2}});
  EXPECT_EQ(layer.output(), (Shape{1, 1, 1, 2}));
  layer.parameter("weights") = {1, 2, 3, 4, 0, 0, 0, 1};
  layer.parameter("biases") = {100, 200};
  expect_equal(layer.forward({1, 10, 2, 20}), {207, 220});
  expect_equal(layer.backward({1, 2}, {{1, 1, 1, 1}})[0], {2, 3, 4, 7});
  expect_equal(layer.parameter_gradient("weights"), {1, 10, 2, 20, 2, 20, 4, 40});
  expect_equal(layer.parameter_gradient("biases"), {1, 2});
}

TEST(connected, ends_in_a_logistic_unless_told_otherwise) {
  SingleLayer layer("[conn]", {{1, 1, 1, 1}});
  layer.parameter("weights") = {0};
  expect_equal(layer.forward(Values{5}), {0.5f});
}

TEST(connected, starts_within_darknets_bounds) {
  SingleLayer layer("[connected]\noutput=1000", {{1, 2, 2, 2}});
  float largest = 0;
  for (float w : layer.parameter("weights")) largest = std::max(largest, std::fabs(w));
  EXPECT_LE(largest, 0.5f);  // sqrt(2 / 8)
  EXPECT_GT(largest, 0.49f);
}

TEST(connected, normalises_with_rolling_statistics_in_inference) {
  SingleLayer layer("[connected]\noutput=1\nbatch_normalize=1\nactivation=leaky", {{1, 1, 1, 1}}, Device::cpu,
                    false);
  layer.parameter("weights") = {2};
  layer.parameter("rolling_mean") = {10};
  layer.parameter("rolling_variance") = {4};
  layer.parameter("scales") = {3};
  layer.parameter("biases") = {1};
  expect_equal(layer.forward(Values{3}), {-0.5f}, {1e-5f});  // 0.1 (3 (6 - 10) / 2 + 1)
}

TEST(connected, gradient_is_the_slope) {
  for (const char* keys : {"activation=linear", "", "activation=mish", "activation=swish\nbatch_normalize=1"})
    expect_gradient(std::string("[connected]\noutput=3\n") + keys, {4, 2, 1, 3});
}

TEST(connected, explains_what_is_wrong) {
  expect_error("[connected]\noutput=0", "test.cfg:2: [connected] output must be at least 1, not 0");
}

}  // namespace
}  // namespace osprey
