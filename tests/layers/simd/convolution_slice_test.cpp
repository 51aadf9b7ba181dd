// Convolutions that read a slice of a tensor's channels, or make one.
#include <cmath>

#include "core/bf16.h"
#include "cuda/maxpool.h"
#include "layers/simd/outer_product.h"
#include "tests/layers/simd/convolution_trial.h"

namespace osprey::convolution_tests {
namespace {

// Values of T between others that are NaN: kFirst before them, and behind each pixel so many as the pitch
// says.
constexpr int kFirst = 6;
template <class T>
struct Slice {
  Slice(Shape slice, int pitch) : shape(slice, pitch), all(size_t(slice.rows()) * pitch + kFirst, T(NAN)) {}

  Tensor tensor() { return {all.data() + kFirst, shape, type_of<T>()}; }
  T& at(int row, int c) { return all[size_t(row) * shape.pitch + kFirst + c]; }
  Values values() {
    Values v;
    for (int row = 0; row < shape.rows(); ++row)
      for (int c = 0; c < shape.c; ++c) v.push_back(at(row, c));
    return v;
  }
  size_t numbers() const {
    return size_t(std::ranges::count_if(all, [](T v) { return !std::isnan(float(v)); }));
  }

  PitchedShape shape;
  std::vector<T> all;
};

// The same as without slices, to the last bit, and nothing beside them is read or written.
template <class X, class Y>
void expect_slices(const Case& c, CpuConvolution::Options options) {
  options.training = false;
  options.bias = true;
  options.x_type = type_of<X>();
  options.y_type = type_of<Y>();
  SCOPED_TRACE(fmt::format("{}, {}, bf16 {} {} {}, pool {}", c.text(),
                           kConvolutionAlgorithms[int(options.algorithm)], options.bf16_products,
                           options.x_type == Type::bf16, options.y_type == Type::bf16, bool(options.pool)));
  const Shape made = options.pool ? pooled_shape(c.y(), *options.pool) : c.y();
  const auto forward = [&](int x_pitch, int y_pitch) {
    Slice<X> x(c.x, x_pitch);
    Slice<Y> y(made, y_pitch);
    Values numbers = random_values(c.x, 1), w = random_values(c.weights(), 2),
           bias = random_values({1, 1, 1, c.filters}, 3);
    for (int row = 0; row < c.x.rows(); ++row)
      for (int k = 0; k < c.x.c; ++k) x.at(row, k) = X(numbers[size_t(row * c.x.c + k)]);
    Trial trial(c, options, x_pitch, y_pitch);
    EXPECT_TRUE(trial.convolution.makes_slice());
    trial.convolution.pack(w.data(), trial.packed);
    trial.convolution.forward(x.tensor(), trial.packed, {{bias.data(), {1, 1, 1, c.filters}}, {}, {}},
                              y.tensor(), trial.scratch);
    EXPECT_EQ(y.numbers(), size_t(made.elements()));
    return y.values();
  };
  const int wide_x = 2 * c.x.c + kFirst, wide_y = 3 * c.filters + kFirst;
  const Values want = forward(c.x.c, c.filters);
  EXPECT_EQ(forward(wide_x, c.filters), want);
  EXPECT_EQ(forward(c.x.c, wide_y), want);
  EXPECT_EQ(forward(wide_x, wide_y), want);
}

template <class X, class Y>
void expect_slices_by_all(const Case& c, bool bf16_products) {
  CpuConvolution::Options options;
  options.activation = Activation::leaky;
  options.bf16_products = bf16_products;
  for (const Algorithm algorithm : {Algorithm::direct, Algorithm::winograd2, Algorithm::winograd4,
                                    Algorithm::winograd5, Algorithm::winograd6}) {
    options.algorithm = algorithm;
    options.pool.reset();
    expect_slices<X, Y>(c, options);
    const Window2 pool{pooling_window(2, 2, 0), pooling_window(2, 2, 0)};
    Trial whole(c, [&] {
      CpuConvolution::Options o = options;
      o.training = false;
      return o;
    }());
    if (!whole.convolution.pools(pool)) continue;
    options.pool = pool;
    expect_slices<X, Y>(c, options);
  }
}

TEST(CpuConvolution, ReadsAndMakesSlices) {
  on_each_processor([] {
    for (const Case& c : {Case{{2, 26, 38, 18}, 37, 3, 1, 1}, Case{{1, 13, 13, 66}, 70, 3, 1, 1},
                          Case{{1, 28, 30, 34}, 24, 3, 2, 1}, Case{{2, 9, 11, 40}, 21, 1},
                          Case{{1, 40, 20, 4}, 20, 3, 1, 1}, Case{{1, 17, 15, 12}, 16, 1}}) {
      expect_slices_by_all<float, float>(c, false);
      if (!simd::has_bf16_products()) continue;
      expect_slices_by_all<float, float>(c, true);
      expect_slices_by_all<bf16, bf16>(c, true);
      expect_slices_by_all<bf16, float>(c, true);
    }
  });
}

}  // namespace
}  // namespace osprey::convolution_tests
