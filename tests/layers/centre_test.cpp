#include "tests/layers/harness.h"

namespace osprey {
namespace {

// 300 weights of a filter: more than a block of the kernel has threads.
TEST(centre, takes_the_mean_from_each_filters_gradients) {
  const Shape in{2, 5, 4, 12};
  const Values x = random_values(in, 2);
  for (Device device : {Device::cpu, Device::cuda})
    for (const char* norm : {"", "batch_normalize=1\n"}) {
      const std::string cfg =
          std::string("[convolutional]\nfilters=3\nsize=5\npad=1\nactivation=leaky\n") + norm;
      SingleLayer plain(cfg, {in}, device), centred(cfg + "grad_centr=1", {in}, device);
      const Values dy = random_values(plain.output(), 3);
      plain.forward(x), centred.forward(x);
      expect_equal(centred.gradient(dy), plain.gradient(dy));
      Values want = plain.parameter_gradient("weights");
      for (int f = 0; f < 3; ++f) {
        double mean = 0;
        for (int i = 0; i < 300; ++i) mean += want[size_t(f * 300 + i)] / 300;
        for (int i = 0; i < 300; ++i) want[size_t(f * 300 + i)] -= float(mean);
      }
      expect_equal(centred.parameter_gradient("weights"), want, {1e-5f, 1e-5f});
      expect_equal(centred.parameter_gradient("biases"), plain.parameter_gradient("biases"));
    }
}

}  // namespace
}  // namespace osprey
