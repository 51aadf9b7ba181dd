#include "tests/layers/harness.h"

namespace osprey {
namespace {

// Size 2, stride 1: the padding of 1 comes after the image, and does not count.
TEST(local_avgpool, divides_by_the_pixels_of_the_window) {
  SingleLayer layer("[local_avgpool]\nsize=2\nstride=1", {{1, 2, 3, 1}});
  expect_equal(layer.forward({1, 3, 5,  //
                              7, 9, 11}),
               {5, 7, 8, 8, 10, 11});
  expect_equal(layer.gradient({4, 0, 0,  //
                               0, 0, 2}),
               {1, 1, 0, 1, 1, 2});
  EXPECT_EQ(SingleLayer("[local_avg]\nsize=3\nstride=2", {{1, 7, 7, 1}}).output(), (Shape{1, 4, 4, 1}));
}

TEST(local_avgpool, kernels_agree) {
  for (const char* cfg :
       {"[local_avgpool]\nsize=3\nstride=2", "[local_avgpool]\nsize=2\nstride_x=2\npadding=0"})
    for (Shape shape : {Shape{2, 5, 7, 3}, {1, 4, 3, 8}}) {
      expect_parity(cfg, {shape}, {1e-6f, 1e-6f});
      expect_parity_in_bf16(cfg, {shape}, {0x1p-7f, 1e-6f});
    }
}

TEST(local_avgpool, gradient_is_the_slope) {
  for (const char* cfg : {"[local_avgpool]\nsize=3", "[local_avgpool]\nsize=2\nstride_x=1\nstride_y=2"})
    expect_gradient_on_both(cfg, {2, 4, 5, 3});
}

TEST(local_avgpool, explains_what_is_wrong) {
  expect_error("[local_avgpool]\nsize=2\npadding=4", "padding leaves windows with no pixel of the image");
}

}  // namespace
}  // namespace osprey
