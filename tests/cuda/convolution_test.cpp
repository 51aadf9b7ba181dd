#include "cuda/convolution.h"

#include "tests/cuda/kernel_test.h"

namespace osprey::test {
namespace {

struct Case {
  Shape x;
  int filters;
  Convolution c;
};
Convolution square(int size, int stride, int padding, int dilation = 1, int groups = 1) {
  const Window w = convolution_window(size, stride, padding, dilation);
  return {{w, w}, groups};
}
const Case kCases[] = {
    {{1, 1, 1, 1}, 1, square(1, 1, 0)},
    {{2, 3, 2, 33}, 3, square(1, 1, 0)},  // the product alone
    {{1, 1, 5, 255}, 8, square(1, 1, 0)},
    {{5, 1, 1, 8}, 255, square(1, 1, 0)},
    {{1, 4, 5, 3}, 3, square(1, 2, 0)},  // inputs that nothing sees
    {{1, 3, 3, 2}, 3, square(1, 1, 1)},  // outputs that see padding only
    {{2, 5, 4, 3}, 7, square(3, 1, 1)},
    {{1, 5, 5, 3}, 33, square(3, 2, 1)},
    {{1, 7, 5, 8}, 16, square(3, 3, 2)},  // packs
    {{2, 4, 6, 16}, 72, square(3, 2, 1)},
    {{1, 5, 5, 1}, 3, square(3, 1, 1, 2)},
    {{1, 7, 6, 8}, 8, square(3, 2, 1, 2)},  // half of the inputs meet no tap
    {{1, 9, 8, 2}, 3, square(5, 3, 2, 2)},
    {{1, 20, 19, 4}, 8, square(3, 1, 1)},                        // pixels in several parts
    {{1, 2, 3, 3}, 1, square(5, 1, 2)},                          // a window larger than the image
    {{1, 3, 2, 2}, 2, square(2, 1, 4)},                          // padding beyond the window
    {{1, 5, 4, 3}, 3, {{{3, 2, 0, 1, 1}, {2, 1, 1, 1, 2}}, 1}},  // different along the two sides
    {{1, 3, 4, 18}, 20, square(3, 1, 1, 1, 2)},                  // groups
    {{1, 3, 4, 24}, 32, square(3, 2, 1, 1, 2)},
    {{1, 4, 4, 4}, 2, square(1, 1, 0, 1, 2)},  // groups of few channels
    {{1, 4, 3, 6}, 4, square(3, 1, 1, 1, 2)},
    {{2, 5, 4, 8}, 8, square(3, 1, 1, 1, 8)},  // depthwise, in packs and without
    {{1, 4, 5, 16}, 16, square(3, 2, 1, 2, 16)},
    {{1, 3, 3, 3}, 3, square(2, 1, 1, 1, 3)},
    {{1, 5, 3, 33}, 66, square(3, 3, 1, 1, 33)},
    {{3, 30, 4, 4}, 4, square(3, 1, 1, 1, 4)},  // lines in several parts
};

// Calls body(index in y, index in x, index in w) for every product that a convolution adds up.
template <class Body>
void each_product(const Case& t, Shape out, Shape weights, Body&& body) {
  const Window &wh = t.c.window.h, &ww = t.c.window.w;
  for (int i = 0; i < out.size(); ++i) {
    const auto [n, oh, ow, f] = out.pixel(i);
    const int first = f / (out.c / t.c.groups) * weights.c;  // channel of the group
    for (int p = 0; p < wh.size; ++p)
      for (int q = 0; q < ww.size; ++q)
        for (int ch = 0; ch < weights.c; ++ch) {
          const int h = oh * wh.stride - wh.before + p * wh.dilation;
          const int w = ow * ww.stride - ww.before + q * ww.dilation;
          if (h >= 0 && h < t.x.h && w >= 0 && w < t.x.w)
            body(i, t.x.index(n, h, w, first + ch), weights.index(f, p, q, ch));
        }
  }
}

// Arrays of a case, aligned as tensors are, and in the type T.
template <class T>
class Array {
 public:
  Array(Shape shape, const Values& values) : values_(size_t(shape.size()) + 16), shape_(shape) {
    while (reinterpret_cast<uintptr_t>(values_.data() + start_) % 16) ++start_;
    std::copy(values.begin(), values.end(), values_.begin() + start_);
  }
  View<T> view() { return {values_.data() + start_, shape_}; }
  operator Tensor() { return view(); }
  Values values() { return {view().begin(), view().end()}; }

 private:
  std::vector<T> values_;
  int start_ = 0;
  Shape shape_;
};

// What plain loops in double make of a case.
struct Expected {
  Shape in, out, filters;
  Values x, weights, bias, dy, dx_before, dweights_before;
  Sums y, y_biased, dx, dx_added, dweights;

  explicit Expected(const Case& t)
      : in(t.x),
        out(t.c.output(in, t.filters)),
        filters(t.c.weights(in, t.filters)),
        x(coarse_values(in.size(), 1)),
        weights(coarse_values(filters.size(), 2)),
        bias(coarse_values(t.filters, 3)),
        dy(coarse_values(out.size(), 4)),
        dx_before(coarse_values(in.size(), 5)),
        dweights_before(coarse_values(filters.size(), 6)),
        y(out.size()),
        y_biased(out.size()),
        dx(in.size()),
        dx_added(in.size()),
        dweights(filters.size()) {
    for (int i = 0; i < out.size(); ++i) y_biased[i].add(bias[i % out.c]);
    for (int i = 0; i < in.size(); ++i) dx_added[i].add(dx_before[i]);
    for (int i = 0; i < filters.size(); ++i) dweights[i].add(dweights_before[i]);
    each_product(t, out, filters, [&](int i, int from, int weight) {
      y[i].add(double(x[from]) * weights[weight]);
      y_biased[i].add(double(x[from]) * weights[weight]);
      dx[from].add(double(dy[i]) * weights[weight]);
      dx_added[from].add(double(dy[i]) * weights[weight]);
      dweights[weight].add(double(dy[i]) * x[from]);
    });
  }
  std::string text() const { return in.text() + " by " + filters.text() + " to " + out.text(); }
};

// A bf16 is rounded once more, by half a unit of its last place; twice that is allowed, since the sum may lie
// on the other side of a tie.
template <class T>
void expect_results(const Values& got, const Sums& want) {
  if constexpr (std::is_same_v<T, float>) return expect_sums(got, want);
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i)
    ASSERT_NEAR(got[i], want[i].value, 0x1p-8 * std::fabs(want[i].value) + 0x1p-20 * want[i].magnitude)
        << "at " << i;
}

Values scratch_for(const Case& t) {
  return Values(size_t(cuda::convolution_scratch(t.x, t.filters, t.c)), NAN);
}

// x, weights and gradients of type T, y of type R.
template <class T, class R>
void expect_agreement(const Case& t) {
  Stream s;
  const Expected want(t);
  SCOPED_TRACE(want.text());
  Array<T> x(want.in, want.x), weights(want.filters, want.weights), dy(want.out, want.dy);
  Values bias = want.bias;
  in_all_orders([&] {
    Array<R> y(want.out, Values(size_t(want.out.size()), NAN));
    Array<T> dx(want.in, Values(size_t(want.in.size()), NAN)), dx_added(want.in, want.dx_before);
    Array<float> dweights(want.filters, want.dweights_before);
    Values scratch = scratch_for(t);
    cuda::convolution_forward(s, x, weights, {}, y, t.c);
    expect_results<R>(y.values(), want.y);
    cuda::convolution_forward(s, x, weights, {channels(bias)}, y, t.c);
    expect_results<R>(y.values(), want.y_biased);
    cuda::convolution_backward_data(s, dy, weights, dx, false, t.c);
    expect_results<T>(dx.values(), want.dx);
    cuda::convolution_backward_data(s, dy, weights, dx_added, true, t.c);
    expect_results<T>(dx_added.values(), want.dx_added);
    cuda::convolution_backward_weights(s, x, dy, dweights.view(), channels(scratch), t.c);
    expect_sums(dweights.values(), want.dweights);
  });
}

TEST(ConvolutionKernel, AgreesWithTheSixLoops) {
  for (const Case& t : kCases) expect_agreement<float, float>(t);
}

TEST(ConvolutionKernel, AgreesWithTheSixLoopsInBf16) {
  for (const Case& t : kCases) {
    expect_agreement<bf16, bf16>(t);
    expect_agreement<bf16, float>(t);
  }
}

// Tensors that start anywhere: no packs, and the same results.
TEST(ConvolutionKernel, NeedsNoAlignment) {
  Stream s;
  const Case t = {{2, 4, 6, 16}, 8, square(3, 2, 1)};
  const Expected want(t);
  const auto shifted = [](const Values& values) {
    Values v(5, NAN);
    v.insert(v.end(), values.begin(), values.end());
    return v;
  };
  Values x = shifted(want.x), weights = shifted(want.weights), dy = shifted(want.dy), y = shifted(want.dy),
         dx = shifted(want.dx_before);
  cuda::convolution_forward(s, View<float>(&x[5], want.in), View<float>(&weights[5], want.filters), {},
                            View<float>(&y[5], want.out), t.c);
  expect_sums({y.begin() + 5, y.end()}, want.y);
  cuda::convolution_backward_data(s, View<float>(&dy[5], want.out), View<float>(&weights[5], want.filters),
                                  View<float>(&dx[5], want.in), true, t.c);
  expect_sums({dx.begin() + 5, dx.end()}, want.dx_added);
}

TEST(ConvolutionKernel, EndsInActivationsAndASum) {
  Stream s;
  for (const Case& t : {kCases[6], kCases[9], kCases[21]}) {
    const Expected want(t);
    Values bias = want.bias;
    Array<float> x(want.in, want.x), weights(want.filters, want.weights), y(want.out, {}),
        residual(want.out, want.dy);
    for (int a = 0; a < int(std::size(kActivationNames)); ++a) {
      const Activation activation = Activation(a);
      cuda::Epilogue epilogue{channels(bias), activation, residual, Activation::leaky};
      cuda::convolution_forward(s, x, weights, epilogue, y, t.c);
      for (int i = 0; i < want.out.size(); ++i) {
        const float sum = activate(activation, float(want.y_biased[i].value)) + want.dy[i];
        ASSERT_NEAR(y.view()[i], activate(Activation::leaky, sum), 1e-5) << kActivationNames[a];
      }
    }
  }
}

// To the last bit, though blocks and threads come in another order.
TEST(ConvolutionKernel, RepeatsItself) {
  Stream s;
  for (const Case& t :
       {Case{{2, 20, 19, 3}, 70, square(3, 1, 1)}, {{3, 30, 4, 4}, 4, square(3, 1, 1, 1, 4)}}) {
    const Shape in = t.x, out = t.c.output(in, t.filters), filters = t.c.weights(in, t.filters);
    const auto uneven = [](Shape shape, uint64_t seed) {
      Values v(size_t(shape.size()));
      for (size_t i = 0; i < v.size(); ++i) v[i] = Random(seed, Purpose::test, 0, i).uniform(-1, 1);
      return v;
    };
    Array<float> x(in, uneven(in, 1)), dy(out, uneven(out, 2));
    ASSERT_GT(cuda::convolution_scratch(in, t.filters, t.c), 0);  // in parts
    Values first;
    in_all_orders([&] {
      Array<float> dweights(filters, uneven(filters, 3));
      Values scratch = scratch_for(t);
      cuda::convolution_backward_weights(s, x, dy, dweights.view(), channels(scratch), t.c);
      if (first.empty()) first = dweights.values();
      EXPECT_EQ(dweights.values(), first);
    });
  }
}

TEST(ConvolutionKernel, AddsUpTheGradientOfTheBias) {
  Stream s;
  for (Shape shape : {Shape{1, 1, 1, 1}, Shape{2, 5, 3, 7}, Shape{1, 3, 1, 33}, Shape{1, 100, 41, 8}}) {
    const Values dy = coarse_values(shape.size(), 1), before = coarse_values(shape.c, 2);
    Array<bf16> rounded(shape, dy);
    Sums want(shape.c);
    for (int c = 0; c < shape.c; ++c) want[c].add(before[c]);
    for (int i = 0; i < shape.size(); ++i) want[i % shape.c].add(dy[i]);
    in_all_orders([&] {
      Values dbias = before, sums(size_t(bias_partial(shape).elements()));
      const View<float> partial = view(sums, bias_partial(shape));
      cuda::bias_backward(s, constant(dy, shape), channels(dbias), partial);
      expect_sums(dbias, want);
      dbias = before;
      cuda::bias_backward(s, rounded, channels(dbias), partial);
      expect_sums(dbias, want);
    });
  }
}

}  // namespace
}  // namespace osprey::test
