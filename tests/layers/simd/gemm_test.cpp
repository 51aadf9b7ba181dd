// Products of matrices against sums in double and, where it is installed, OpenBLAS.
#include "layers/simd/gemm.h"

#include <gtest/gtest.h>
#ifdef OSPREY_OPENBLAS
#include <cblas.h>
#endif

#include <cmath>
#include <vector>

#include "core/parallel.h"

namespace osprey {
namespace {

struct Case {
  Transpose a, b;
  int m, n, k;
  bool add;
  int gap = 0;  // between the end of a row and the next
};

// Numbers in -1..1, which differ from place to place.
std::vector<float> numbers(int64_t count, unsigned seed) {
  std::vector<float> values(static_cast<size_t>(count));
  for (float& v : values) {
    seed = seed * 1664525u + 1013904223u;
    v = float(int(seed >> 8)) / float(1 << 23) - 1;
  }
  return values;
}

struct Matrices {
  int lda, ldb, ldc;
  std::vector<float> a, b, c;

  explicit Matrices(const Case& t)
      : lda((t.a == Transpose::yes ? t.m : t.k) + t.gap),
        ldb((t.b == Transpose::yes ? t.k : t.n) + t.gap),
        ldc(t.n + t.gap),
        a(numbers(int64_t(t.a == Transpose::yes ? t.k : t.m) * lda, 1)),
        b(numbers(int64_t(t.b == Transpose::yes ? t.n : t.k) * ldb, 2)),
        c(numbers(int64_t(t.m) * ldc, 3)) {}

  float of_a(const Case& t, int i, int p) const {
    return t.a == Transpose::yes ? a[size_t(p) * lda + i] : a[size_t(i) * lda + p];
  }
  float of_b(const Case& t, int p, int j) const {
    return t.b == Transpose::yes ? b[size_t(j) * ldb + p] : b[size_t(p) * ldb + j];
  }
};

std::vector<float> by_gemm(const Case& t, const Matrices& x) {
  std::vector<float> c = x.c;
  gemm(t.a, t.b, t.m, t.n, t.k, x.a.data(), x.lda, x.b.data(), x.ldb, t.add, c.data(), x.ldc);
  return c;
}

void expect_product(const Case& t) {
  SCOPED_TRACE(testing::Message() << (t.a == Transpose::yes ? "A' " : "A ")
                                  << (t.b == Transpose::yes ? "B' " : "B ") << t.m << "x" << t.n << "x" << t.k
                                  << (t.add ? " added" : "") << " gap " << t.gap);
  const Matrices x(t);
  const std::vector<float> c = by_gemm(t, x);
  int wrong = 0;
  for (int i = 0; i < t.m; ++i)
    for (int j = 0; j < x.ldc && wrong < 3; ++j) {
      const size_t at = size_t(i) * x.ldc + j;
      if (j >= t.n) {  // the gap is nobody's
        EXPECT_EQ(c[at], x.c[at]) << ++wrong;
        continue;
      }
      double sum = t.add ? x.c[at] : 0.0, magnitude = std::abs(sum);
      for (int p = 0; p < t.k; ++p) {
        const double product = double(x.of_a(t, i, p)) * x.of_b(t, p, j);
        sum += product;
        magnitude += std::abs(product);
      }
      const double allowed = 2 * std::sqrt(t.k + 1.0) * std::ldexp(1.0, -24) * magnitude;
      if (std::abs(c[at] - sum) > allowed) {
        EXPECT_NEAR(c[at], sum, allowed) << "row " << i << ", column " << j;
        ++wrong;
      }
    }
}

TEST(Gemm, AgreesWithSumsInDouble) {
  for (const Transpose a : {Transpose::no, Transpose::yes})
    for (const Transpose b : {Transpose::no, Transpose::yes})
      for (const bool add : {false, true}) {
        for (const int m : {1, 2, 3, 4, 5, 8, 9, 11, 12, 13, 40})
          for (const int n : {1, 3, 4, 15, 16, 17, 32, 33, 70}) expect_product({a, b, m, n, 19, add, 3});
        for (const int k : {1, 2, 15, 16, 17, 383, 384, 385, 800}) {
          expect_product({a, b, 3, 37, k, add});
          expect_product({a, b, 14, 37, k, add});
        }
        expect_product({a, b, 30, 600, 50, add, 1});  // more than a block of panels
      }
}

TEST(Gemm, ThreadsChangeNoDigit) {
  const int before = threads();
  for (const Case& t : {Case{Transpose::no, Transpose::yes, 2, 100, 500, false},
                        Case{Transpose::no, Transpose::yes, 50, 300, 500, true},
                        Case{Transpose::yes, Transpose::no, 300, 20, 500, true}}) {
    const Matrices x(t);
    set_threads(1);
    const std::vector<float> one = by_gemm(t, x);
    set_threads(3);
    EXPECT_EQ(by_gemm(t, x), one);
  }
  set_threads(before);
}

#ifdef OSPREY_OPENBLAS
TEST(Gemm, AgreesWithOpenBlas) {
  const Case t{Transpose::yes, Transpose::yes, 70, 130, 900, true, 5};
  const Matrices x(t);
  std::vector<float> theirs = x.c;
  cblas_sgemm(CblasRowMajor, CblasTrans, CblasTrans, t.m, t.n, t.k, 1, x.a.data(), x.lda, x.b.data(), x.ldb,
              1, theirs.data(), x.ldc);
  const std::vector<float> ours = by_gemm(t, x);
  for (size_t i = 0; i < ours.size(); ++i) ASSERT_NEAR(ours[i], theirs[i], 1e-4) << i;
}
#endif

}  // namespace
}  // namespace osprey
