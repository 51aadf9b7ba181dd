// The product of matrices on the CPU, as sums of outer products. Matrices are row-major.
#pragma once

namespace osprey {

enum class Transpose { no, yes };

// C = A B, or with `add` C += A B, where A (after its transposition) is [m, k], B is [k, n] and C is [m, n].
// `lda`, `ldb`, `ldc` are the distances between rows as the matrices lie in memory. The number of threads
// changes no digit.
void gemm(Transpose a_transposed, Transpose b_transposed, int m, int n, int k, const float* a, int lda,
          const float* b, int ldb, bool add, float* c, int ldc);

}  // namespace osprey
