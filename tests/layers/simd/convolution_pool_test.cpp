// Convolutions that make no more of their output than the largest value in each window.
#include <cmath>

#include "core/bf16.h"
#include "cuda/maxpool.h"
#include "layers/simd/outer_product.h"
#include "tests/layers/simd/convolution_trial.h"

namespace osprey::convolution_tests {
namespace {

// The largest of what is made without a pool, to the last bit.
void expect_pooled(const Case& c, int side, CpuConvolution::Options options) {
  const Window2 windows{pooling_window(side, side, 1), pooling_window(side, side, 1)};
  SCOPED_TRACE(fmt::format("{}, windows of {}, {}, bf16 {} {}", c.text(), side,
                           kConvolutionAlgorithms[int(options.algorithm)], options.bf16_products,
                           options.y_type == Type::bf16));
  options.training = false;
  options.bias = true;
  Trial whole(c, options);
  ASSERT_TRUE(whole.convolution.pools(windows));
  options.pool = windows;
  Trial pooled(c, options);
  EXPECT_EQ(pooled.convolution.algorithms(), whole.convolution.algorithms());
  Values x = random_values(c.x, 1), w = random_values(c.weights(), 2),
         bias = random_values({1, 1, 1, c.filters}, 3);
  const Shape full = c.y(), few = pooled_shape(full, windows);
  const auto forward = [&](Trial& trial, Shape shape) {
    const size_t count = size_t(shape.elements());
    Values in_floats(count, NAN);
    std::vector<bf16> in_bf16(count, bf16(NAN));
    const bool floats = options.y_type == Type::f32;
    trial.convolution.pack(w.data(), trial.packed);
    trial.convolution.forward(
        View<float>{x.data(), c.x}, trial.packed, {{bias.data(), {1, 1, 1, c.filters}}, {}, {}},
        floats ? Tensor(in_floats.data(), shape) : Tensor(in_bf16.data(), shape, Type::bf16), trial.scratch);
    return floats ? in_floats : Values(in_bf16.begin(), in_bf16.end());
  };
  const Values y = forward(whole, full), got = forward(pooled, few);
  Values want(got.size());
  for (int n = 0; n < few.n; ++n)
    for (int h = 0; h < few.h; ++h)
      for (int v = 0; v < few.w; ++v)
        for (int k = 0; k < few.c; ++k) {
          float most = -INFINITY;
          for (int i = h * side; i < std::min((h + 1) * side, full.h); ++i)
            for (int j = v * side; j < std::min((v + 1) * side, full.w); ++j)
              most = std::max(most, y[size_t(full.index(n, i, j, k))]);
          want[size_t(few.index(n, h, v, k))] = most;
        }
  EXPECT_EQ(got, want);
}

TEST(CpuConvolution, MakesOnlyTheLargestOfEachWindow) {
  on_each_processor([] {
    CpuConvolution::Options options;
    options.activation = Activation::leaky;
    options.algorithm = Algorithm::direct;
    for (const bool bf16_products : {false, simd::has_bf16_products()})
      for (const int side : {2, 3}) {
        // Of rows and columns that are no whole number of windows the last ones have fewer pixels.
        options.bf16_products = bf16_products;
        expect_pooled({{2, 61, 37, 3}, 21, 3, 1, 1}, side, options);
      }
    // Tiles over the edge, vectors that are not full, and an activation that is largest elsewhere than its
    // sum.
    for (const Activation activation : {Activation::leaky, Activation::mish})
      for (const Algorithm algorithm : {Algorithm::winograd2, Algorithm::winograd4})
        for (const Case& c : {Case{{2, 26, 38, 17}, 37, 3, 1, 1}, Case{{1, 8, 66, 70}, 16, 3, 1, 1}})
          for (const bool bf16_products : {false, simd::has_bf16_products() && c.x.c % 2 == 0})
            for (const Type type : {Type::f32, bf16_products ? Type::bf16 : Type::f32}) {
              options.activation = activation;
              options.algorithm = algorithm;
              options.bf16_products = bf16_products;
              options.y_type = type;
              expect_pooled(c, 2, options);
            }
  });
}

TEST(CpuConvolution, PoolsWhereItsTilesAreWholeWindows) {
  const auto windows = [](int side) {
    return Window2{pooling_window(side, side, 1), pooling_window(side, side, 1)};
  };
  CpuConvolution::Options options;
  options.training = false;
  for (const Algorithm a : {Algorithm::winograd2, Algorithm::winograd4, Algorithm::winograd5}) {
    options.algorithm = a;
    Trial even({{1, 12, 14, 16}, 16, 3, 1, 1}, options);
    EXPECT_EQ(even.convolution.pools(windows(2)), a != Algorithm::winograd5);
    EXPECT_FALSE(even.convolution.pools(windows(3)));
    EXPECT_FALSE(Trial({{1, 12, 13, 16}, 16, 3, 1, 1}, options).convolution.pools(windows(2)));
  }
  // A network that pools so may be given another size, of which the tiles are not whole windows.
  options.algorithm = Algorithm::winograd4;
  options.pool = windows(2);
  EXPECT_EQ(Trial({{1, 12, 13, 16}, 16, 3, 1, 1}, options).convolution.algorithms(), "direct");
}

}  // namespace
}  // namespace osprey::convolution_tests
