// The product of matrices on the CPU, by OpenBLAS. Matrices are row-major.
#pragma once

namespace osprey {

enum class Transpose { no, yes };

// C = A B + beta C, where A (after its transposition) is [m, k], B is [k, n] and C is [m, n]. `lda`, `ldb`,
// `ldc` are the distances between rows as the matrices lie in memory.
void gemm(Transpose a_transposed, Transpose b_transposed, int m, int n, int k, const float* a, int lda,
          const float* b, int ldb, float beta, float* c, int ldc);

}  // namespace osprey
