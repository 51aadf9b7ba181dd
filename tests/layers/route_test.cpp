#include "tests/layers/harness.h"

namespace osprey {
namespace {

TEST(route, puts_channels_side_by_side) {
  SingleLayer layer("[route]\nlayers=-1,3", {{1, 1, 2, 1}, {1, 1, 2, 2}});
  EXPECT_EQ(layer.layer().sources(), (std::vector<std::string>{"-1", "3"}));
  expect_equal(layer.forward({{1, 2}, {3, 4, 5, 6}}), {1, 3, 4, 2, 5, 6});
  const auto dx = layer.backward({1, 2, 3, 4, 5, 6}, {{10, 10}, {0, 0, 0, 0}});
  expect_equal(dx[0], {11, 14});
  expect_equal(dx[1], {2, 3, 5, 6});
}

// AlexeyAB: each source is cut by itself, then the parts are joined.
TEST(route, takes_one_group_of_channels_of_each_layer) {
  SingleLayer layer("[route]\nlayers=-1,0\ngroups=2\ngroup_id=1", {{1, 1, 1, 4}, {1, 1, 1, 4}});
  expect_equal(layer.forward({{1, 2, 3, 4}, {5, 6, 7, 8}}), {3, 4, 7, 8});
  const auto dx = layer.backward_overwriting({1, 2, 3, 4});
  expect_equal(dx[0], {0, 0, 1, 2});
  expect_equal(dx[1], {0, 0, 3, 4});
}

TEST(route, copies_a_single_layer_whole) {
  SingleLayer layer("[route]\nfrom=-3", {{2, 3, 2, 5}});
  EXPECT_EQ(layer.layer().sources(), std::vector<std::string>{"-3"});
  const Values x = random_values({2, 3, 2, 5});
  expect_equal(layer.forward(x), x);
}

// Copies and one addition each: equal bits.
TEST(route, kernels_agree) {
  for (Shape shape : kAwkwardShapes) {
    Shape wider = shape;
    wider.c *= 2;
    expect_parity("[route]\nlayers=1", {shape});
    expect_parity("[route]\nlayers=1,2", {shape, shape});
    expect_parity_in_bf16("[route]\nlayers=1,2", {shape, shape});
    expect_parity("[route]\nlayers=1,2\ngroups=2\ngroup_id=1", {wider, wider});
    expect_parity_in_bf16("[route]\nlayers=1,2\ngroups=2\ngroup_id=1", {wider, wider});
  }
  expect_parity("[route]\nlayers=1,2,3", {{2, 2, 3, 4}, {2, 2, 3, 3}, {2, 2, 3, 8}});  // only some in packs
}

TEST(route, gradient_is_the_slope) {
  const Shape a{2, 3, 4, 3}, b{2, 3, 4, 6};
  expect_gradient_on_both("[route]\nlayers=1,2", {a, b}, {random_values(a, 1), random_values(b, 2)});
  expect_gradient_on_both("[route]\nlayers=1,2\ngroups=3\ngroup_id=2", {a, b},
                          {random_values(a, 1), random_values(b, 2)});
}

TEST(route, explains_what_is_wrong) {
  expect_error("[route]", "test.cfg:1: [route] layers must be given");
  expect_error(
      "[route]\nlayers=-1,p3",
      "test.cfg:2: [route] layer `-1` is 1x8x8x4 and layer `p3` is 1x4x4x4: heights and widths must agree",
      {{1, 8, 8, 4}, {1, 4, 4, 4}});
  expect_error("[route]\nlayers=-1\ngroups=3",
               "test.cfg:3: [route] the 4 channels of layer `-1` cannot be cut into 3");
  expect_error("[route]\nlayers=-1\ngroups=2\ngroup_id=2",
               "test.cfg:4: [route] group_id must be less than groups");
  expect_error("[route]\nlayers=-1\nfrom=-2", "give either layers or from, not both");
}

}  // namespace
}  // namespace osprey
