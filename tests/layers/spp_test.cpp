// [spp] as a layer; tests/layers/roi/spp_test.cpp has its bins.
#include "tests/layers/harness.h"

namespace osprey {
namespace {

TEST(spp, makes_one_length_of_maps_of_any_size) {
  for (Shape in : {Shape{2, 7, 5, 3}, Shape{1, 12, 9, 3}, Shape{1, 1, 1, 3}}) {
    SingleLayer layer("[spp]\n", {in});
    EXPECT_EQ(layer.output(), (Shape{in.n, 1, 21, 3}));
  }
  EXPECT_EQ(SingleLayer("[spp]\nlevels=1,2,3,6\n", {{1, 8, 8, 2}}).output(), (Shape{1, 1, 50, 2}));
}

TEST(spp, gradient_is_that_of_the_output) {
  const Shape in = {2, 5, 4, 2};
  expect_gradient_on_both("[spp]\nlevels=1,2\n", {in}, {well_separated(in)});
}

TEST(spp, devices_agree) {
  for (Shape in : kAwkwardShapes) {
    expect_parity("[spp]\nlevels=2,3\n", {in});
    expect_parity_in_bf16("[spp]\nlevels=2,3\n", {in});
  }
}

TEST(spp, is_told_of_wrong_levels) {
  expect_error("[spp]\nlevels=0\n", "levels");
  expect_error("[spp]\nlevels=1,2,3,4,5,6,7,8,9\n", "levels must be 8 numbers at most, not 9");
}

}  // namespace
}  // namespace osprey
