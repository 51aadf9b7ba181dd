#include "tests/layers/harness.h"

namespace osprey {
namespace {

// A convolution of stride 1, and the blur of a pool of one pixel.
TEST(antialiasing, of_a_convolution_is_a_blur_behind_it) {
  const Shape in{2, 5, 6, 2};
  const Values x = random_values(in, 4);
  for (Device device : {Device::cpu, Device::cuda})
    for (const char* blur : {"antialiasing=1\n", "antialiasing=2\n"})
      for (const char* keys : {"activation=leaky\n", "batch_normalize=1\nactivation=mish\n"}) {
        SCOPED_TRACE(std::string(blur) + keys);
        const std::string cfg = std::string("[convolutional]\nfilters=3\nsize=3\npad=1\n") + keys;
        SingleLayer dense(cfg, {in}, device), whole(cfg + blur + "stride_y=2\nstride_x=3\n", {in}, device);
        SingleLayer pool(std::string("[maxpool]\nsize=1\nstride_y=2\nstride_x=3\n") + blur, {dense.output()},
                         device);
        EXPECT_EQ(whole.output(), pool.output());
        const Values want = pool.forward(dense.forward(x));
        expect_equal(whole.forward(x), want, {1e-6f, 1e-6f});
        const Values dy = random_values(pool.output(), 6);
        expect_equal(whole.gradient(dy), dense.gradient(pool.gradient(dy)), {1e-5f, 1e-5f});
        expect_equal(whole.parameter_gradient("weights"), dense.parameter_gradient("weights"),
                     {1e-5f, 1e-5f});
      }
}

TEST(antialiasing, of_a_convolution_in_detection) {
  const Shape in{1, 5, 6, 2};
  const Values x = random_values(in, 4);
  const std::string cfg =
      "[convolutional]\nfilters=3\nsize=3\nstride=2\npad=1\nactivation=leaky\nantialiasing=1";
  SingleLayer training(cfg, {in}), cpu(cfg, {in}, Device::cpu, false),
      kernels(cfg, {in}, Device::cuda, false);
  const Values want = training.forward(x);
  expect_equal(cpu.forward(x), want, {1e-5f, 1e-5f});
  expect_equal(kernels.forward(x), want, {1e-5f, 1e-5f});
}

TEST(antialiasing, explains_what_is_wrong) {
  expect_error("[convolutional]\nsize=3\nantialiasing=2", "a blur of 2x2 pixels does not fit into 1x1x1x1",
               {{1, 3, 3, 1}});
  expect_error("[convolutional]\nantialiasing=1\nactivation=normalize_channels",
               "antialiasing does not go with an activation that looks at all channels");
}

}  // namespace
}  // namespace osprey
