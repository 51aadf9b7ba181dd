#include "cuda/group_norm.h"

#include "tests/cuda/kernel_test.h"

namespace osprey::test {
namespace {

// Sums of a group's values err by some units in the last place.
void expect_near(const Values& got, const std::vector<double>& want) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], want[i], 1e-5 * (1 + std::fabs(want[i]))) << i;
}

// All that forward and backward make, by plain loops.
struct Expected {
  std::vector<double> y, dx, dscale, dbias;

  Expected(Shape shape, int groups, double epsilon, const Values& x, const Values& dy, const Values& scale,
           const Values& bias, const Values& dx_before, const Values& before)
      : y(x.size()),
        dx(dx_before.begin(), dx_before.end()),
        dscale(before.begin(), before.end()),
        dbias(before.begin(), before.end()) {
    const int of_group = shape.c / groups;
    for (int n = 0; n < shape.n; ++n)
      for (int group = 0; group < groups; ++group) {
        std::vector<size_t> members;
        for (int row = 0; row < shape.h * shape.w; ++row)
          for (int c = group * of_group; c < (group + 1) * of_group; ++c)
            members.push_back(size_t(n * shape.h * shape.w + row) * size_t(shape.c) + size_t(c));
        const double count = double(members.size());
        double mean = 0, variance = 0, mean_g = 0, mean_product = 0;
        for (size_t i : members) mean += x[i] / count;
        for (size_t i : members) variance += (x[i] - mean) * (x[i] - mean) / count;
        const double deviation = std::sqrt(variance + epsilon);
        const auto channel = [&](size_t i) { return i % size_t(shape.c); };
        const auto normal = [&](size_t i) { return (x[i] - mean) / deviation; };
        const auto g = [&](size_t i) { return y[i] > 0 ? double(dy[i]) : 0.0; };
        for (size_t i : members) {
          const double z = normal(i) * scale[channel(i)] + bias[channel(i)];
          y[i] = std::max(z, 0.0);
          dbias[channel(i)] += g(i);
          dscale[channel(i)] += g(i) * normal(i);
          mean_g += scale[channel(i)] * g(i) / count;
          mean_product += scale[channel(i)] * g(i) * normal(i) / count;
        }
        for (size_t i : members)
          dx[i] += (scale[channel(i)] * g(i) - mean_g - normal(i) * mean_product) / deviation;
      }
  }
};

TEST(GroupNormKernel, NormalisesAndSharesTheGradient) {
  Stream s;
  for (const auto& [shape, groups] : std::vector<std::pair<Shape, int>>{{{1, 1, 2, 1}, 1},
                                                                        {{2, 3, 3, 6}, 2},
                                                                        {{2, 3, 3, 6}, 6},
                                                                        {{3, 2, 2, 8}, 2},
                                                                        {{1, 2, 3, 33}, 11},
                                                                        {{1, 1, 9, 136}, 34},
                                                                        {{2, 130, 9, 64}, 32}}) {
    SCOPED_TRACE(shape.text() + " in groups " + std::to_string(groups));
    Values x = coarse_values(shape.size(), 1), scale = coarse_values(shape.c, 2);
    // No value of z at the corner of relu: biases of odd sixteenths of no simple ratio to the rest.
    Values bias = coarse_values(shape.c, 3);
    for (float& b : bias) b += 0.0401f;
    const Values dy = coarse_values(shape.size(), 4), before = coarse_values(shape.size(), 5),
                 parameters_before = coarse_values(shape.c, 6);
    constexpr float kEpsilon = 0.125f;
    const Expected want(shape, groups, kEpsilon, x, dy, scale, bias, before, parameters_before);
    const Shape channel{1, 1, 1, shape.c}, group{shape.n, 1, 1, groups}, two{shape.n, 1, 2, groups};
    in_all_orders([&] {
      Values y(x.size(), NAN), dx = before, dscale = parameters_before, dbias = parameters_before;
      Values mean(group.size(), NAN), inverse(group.size(), NAN), means(two.size(), NAN),
          partial(group_norm_partial(shape).size(), NAN);
      GroupNorm p;
      p.groups = groups;
      p.epsilon = kEpsilon;
      p.activation = Activation::relu;
      p.scale = view(scale, channel);
      p.bias = view(bias, channel);
      p.scale_gradient = view(dscale, channel);
      p.bias_gradient = view(dbias, channel);
      p.mean = view(mean, group);
      p.inverse_deviation = view(inverse, group);
      p.means = view(means, two);
      p.partial = view(partial, group_norm_partial(shape));
      cuda::group_norm_forward(s, constant(x, shape), view(y, shape), p);
      cuda::group_norm_backward(s, constant(x, shape), constant(dy, shape), view(dx, shape), true, p);
      expect_near(y, want.y);
      expect_near(dx, want.dx);
      expect_near(dscale, want.dscale);
      expect_near(dbias, want.dbias);
      // Frozen, and made anew where nothing was.
      p.scale_gradient = p.bias_gradient = {};
      Values made(x.size(), NAN);
      cuda::group_norm_backward(s, constant(x, shape), constant(dy, shape), view(made, shape), false, p);
      for (size_t i = 0; i < made.size(); ++i) ASSERT_NEAR(made[i] + before[i], want.dx[i], 2e-5) << i;
    });
  }
}

}  // namespace
}  // namespace osprey::test
