#include "cuda/gemm.h"

#include "tests/cuda/kernel_test.h"

namespace osprey::test {
namespace {

using cuda::Matrix;

struct Case {
  int m, n, k;
  bool a_transposed, b_transposed, add, bias;
};
const Case kCases[] = {
    {1, 1, 1, false, false, false, false}, {3, 33, 7, false, true, false, true},
    {33, 5, 40, true, false, true, false}, {31, 34, 2, true, true, true, true},
    {2, 3, 0, false, false, false, true},  // no terms: the bias remains
};

// All matrices are slices of wider ones, whose other values must neither be read (they are NaN) nor written.
TEST(GemmKernel, MultipliesSlicesOfMatrices) {
  Stream s;
  for (const Case& t : kCases) {
    SCOPED_TRACE(testing::Message() << t.m << "x" << t.n << "x" << t.k);
    auto sliced = [](int rows, int columns, uint64_t seed) {
      Values v(rows * (columns + 3), NAN);
      const Values inner = coarse_values(rows * columns, seed);
      for (int i = 0; i < rows * columns; ++i) v[i / columns * (columns + 3) + 2 + i % columns] = inner[i];
      return v;
    };
    auto matrix = [](auto& v, int rows, int columns) {
      const Shape shape = {1, 1, rows, columns + 3};
      return Matrix<std::remove_reference_t<decltype(v[0])>>({v.data(), shape}, 2, rows, columns,
                                                             columns + 3);
    };
    const Values a = sliced(t.a_transposed ? t.k : t.m, t.a_transposed ? t.m : t.k, 1);
    const Values b = sliced(t.b_transposed ? t.n : t.k, t.b_transposed ? t.k : t.n, 2);
    const Values before = sliced(t.m, t.n, 3), bias = coarse_values(t.n, 4);
    const auto ma = t.a_transposed ? matrix(a, t.k, t.m).transposed() : matrix(a, t.m, t.k);
    const auto mb = t.b_transposed ? matrix(b, t.n, t.k).transposed() : matrix(b, t.k, t.n);
    in_all_orders([&] {
      Values c = before;
      cuda::gemm(s, ma, mb, matrix(c, t.m, t.n), t.add,
                 t.bias ? constant(bias, {1, 1, 1, t.n}) : View<const float>());
      for (int i = 0; i < t.m; ++i)
        for (int j = 0; j < t.n + 3; ++j) {
          const int at = i * (t.n + 3) + j, column = j - 2;
          if (column < 0 || column >= t.n) {
            ASSERT_TRUE(std::isnan(c[at]));
            continue;
          }
          double want = (t.add ? before[at] : 0) + (t.bias ? bias[column] : 0);
          for (int k = 0; k < t.k; ++k) want += double(ma(i, k)) * mb(k, column);
          ASSERT_EQ(c[at], want);  // products of coarse values are exact in float
        }
    });
  }
}

TEST(GemmKernel, RefusesAMatrixThatLeavesItsView) {
#ifndef OSPREY_CHECK_BOUNDS
  GTEST_SKIP() << "views check no bounds in Release builds";
#endif
  Values v(12);
  EXPECT_NO_THROW(Matrix<float>(channels(v), 2, 2, 5, 5));
  EXPECT_THROW(Matrix<float>(channels(v), 3, 2, 5, 5), std::out_of_range);
}

}  // namespace
}  // namespace osprey::test
