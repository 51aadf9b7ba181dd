#include "cuda/batchnorm.h"

#include "tests/cuda/kernel_test.h"

namespace osprey::test {
namespace {

constexpr Shape kShapes[] = {{1, 1, 1, 1}, {1, 1, 2, 3}, {2, 5, 3, 7}, {1, 4, 5, 33}};

// The memory of a BatchNorm, with values that are not those it would start with.
struct Parameters {
  Values scale, bias, rolling_mean, rolling_variance, mean, inverse_deviation, scale_gradient, bias_gradient;
  Shape partial_shape;
  Values partial;

  explicit Parameters(Shape x) : Parameters(x.c) {
    partial_shape = batchnorm_partial(x);
    partial.assign(partial_shape.size(), NAN);
  }
  explicit Parameters(int c)
      : scale(coarse_values(c, 11)),
        bias(coarse_values(c, 12)),
        rolling_mean(coarse_values(c, 13)),
        rolling_variance(coarse_values(c, 14)),
        mean(c, NAN),
        inverse_deviation(c, NAN),
        scale_gradient(coarse_values(c, 15)),
        bias_gradient(coarse_values(c, 16)) {
    for (float& v : rolling_variance) v = v * v + 0.25f;
    for (float& v : bias) v += 0.0625f;  // no output lies on the kink of an activation
  }
  BatchNorm views(Activation activation, bool frozen) {
    return {channels(scale),
            channels(bias),
            channels(rolling_mean),
            channels(rolling_variance),
            channels(mean),
            channels(inverse_deviation),
            channels(scale_gradient),
            channels(bias_gradient),
            1e-5f,
            0.1f,
            activation,
            frozen,
            view(partial, partial_shape)};
  }
};

// The layer as the paper has it, one channel after another, in double.
struct Plain {
  Values x;
  Shape shape;
  Activation activation;
  bool rolling;
  Parameters p;
  std::vector<double> mean, variance;

  Plain(const Values& x, Shape shape, Activation activation, bool rolling)
      : x(x),
        shape(shape),
        activation(activation),
        rolling(rolling),
        p(shape.c),
        mean(shape.c),
        variance(shape.c) {
    const int n = shape.rows();
    if (rolling) {
      mean.assign(p.rolling_mean.begin(), p.rolling_mean.end());
      variance.assign(p.rolling_variance.begin(), p.rolling_variance.end());
      return;
    }
    for (int i = 0; i < shape.size(); ++i) mean[i % shape.c] += double(x[i]) / n;
    for (int i = 0; i < shape.size(); ++i) variance[i % shape.c] += std::pow(x[i] - mean[i % shape.c], 2) / n;
  }
  double deviation(int c) const { return std::sqrt(variance[c] + 1e-5f); }
  double before_activation(int i) const {
    const int c = i % shape.c;
    return p.scale[c] * (x[i] - mean[c]) / deviation(c) + p.bias[c];
  }
  // The three terms of the paper's page 4.
  struct Gradients {
    std::vector<double> dx, scale, bias;
  };
  Gradients gradients(const Values& dy) const {
    const int n = shape.rows();
    std::vector<double> g(shape.size()), dmean(shape.c), dvariance(shape.c);
    Gradients result = {g, std::vector<double>(shape.c), std::vector<double>(shape.c)};
    for (int i = 0; i < shape.size(); ++i) {
      const int c = i % shape.c;
      g[i] = dy[i] * slope(activation, float(before_activation(i)));
      result.scale[c] += g[i] * (x[i] - mean[c]) / deviation(c);
      result.bias[c] += g[i];
      dvariance[c] += g[i] * p.scale[c] * (x[i] - mean[c]) * -0.5 * std::pow(deviation(c), -3);
      dmean[c] -= g[i] * p.scale[c] / deviation(c);
    }
    for (int i = 0; i < shape.size(); ++i) {
      const int c = i % shape.c;
      result.dx[i] = g[i] * p.scale[c] / deviation(c);
      if (!rolling) result.dx[i] += dvariance[c] * 2 * (x[i] - mean[c]) / n + dmean[c] / n;
    }
    return result;
  }
};

// A dozen roundings of values around 1, magnified by the division by a deviation where n is small.
void expect_close(float got, double want) { ASSERT_NEAR(got, want, 4e-6 * std::max(1.0, std::fabs(want))); }

void expect_forward(const Plain& plain, const Values& y) {
  for (int i = 0; i < plain.shape.size(); ++i)
    expect_close(y[i], activate(plain.activation, float(plain.before_activation(i))));
}

TEST(BatchnormKernel, NormalisesWithTheRollingStatisticsInInference) {
  Stream s;
  for (Shape shape : kShapes) {
    const Plain plain(coarse_values(shape.size(), 1), shape, Activation::leaky, true);
    in_all_orders([&] {
      Parameters p(shape);
      Values y = plain.x;  // in place
      cuda::batchnorm_forward_inference(s, view(y, shape), view(y, shape), p.views(Activation::leaky, false));
      expect_forward(plain, y);
      EXPECT_EQ(p.rolling_mean, plain.p.rolling_mean);
      EXPECT_EQ(p.rolling_variance, plain.p.rolling_variance);
    });
  }
}

TEST(BatchnormKernel, NormalisesWithTheBatchInTraining) {
  Stream s;
  for (Shape shape : kShapes)
    for (Activation a : {Activation::linear, Activation::leaky, Activation::tanh}) {
      SCOPED_TRACE(shape.text());
      Values x = coarse_values(shape.size(), 1);
      for (float& v : x) v += 3;  // a mean far from 0, as squares less the squared mean would not bear
      const Plain plain(x, shape, a, false);
      const int n = shape.rows();
      in_all_orders([&] {
        Parameters p(shape);
        Values y(shape.size(), NAN);
        cuda::batchnorm_forward_training(s, constant(x, shape), view(y, shape), p.views(a, false));
        expect_forward(plain, y);
        for (int c = 0; c < shape.c; ++c) {
          const double unbiased = plain.variance[c] * n / std::max(n - 1, 1);
          expect_close(p.rolling_mean[c], 0.9 * plain.p.rolling_mean[c] + 0.1 * plain.mean[c]);
          expect_close(p.rolling_variance[c], 0.9 * plain.p.rolling_variance[c] + 0.1 * unbiased);
        }
      });
    }
}

void expect_backward(Shape shape, Activation a, bool frozen) {
  Stream s;
  SCOPED_TRACE(shape.text() + (frozen ? " frozen" : ""));
  const Values x = coarse_values(shape.size(), 1), dy = coarse_values(shape.size(), 2),
               before = coarse_values(shape.size(), 3);
  const Plain plain(x, shape, a, frozen);
  const Plain::Gradients want = plain.gradients(dy);
  in_all_orders([&] {
    for (bool in_place : {false, true}) {
      Parameters p(shape);
      const BatchNorm views = p.views(a, frozen);
      Values y(shape.size(), NAN), dx = before, gradient = dy;
      cuda::batchnorm_forward_training(s, constant(x, shape), view(y, shape), views);
      Values& target = in_place ? gradient : dx;
      cuda::batchnorm_backward(s, constant(x, shape), view(gradient, shape), view(target, shape), views);
      for (int i = 0; i < shape.size(); ++i) expect_close(target[i], want.dx[i] + (in_place ? 0 : before[i]));
      for (int c = 0; c < shape.c; ++c) {
        expect_close(p.scale_gradient[c], plain.p.scale_gradient[c] + want.scale[c]);
        expect_close(p.bias_gradient[c], plain.p.bias_gradient[c] + want.bias[c]);
      }
      if (frozen) {
        EXPECT_EQ(p.rolling_variance, plain.p.rolling_variance);
      }
    }
  });
}

TEST(BatchnormKernel, BackwardIsThePapersFormula) {
  for (Shape shape : kShapes)
    for (Activation a : {Activation::linear, Activation::leaky, Activation::tanh})
      for (bool frozen : {false, true}) expect_backward(shape, a, frozen);
}

}  // namespace
}  // namespace osprey::test
