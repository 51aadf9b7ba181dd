#include "core/gemm.h"

#include <cblas.h>

#include "core/parallel.h"

namespace osprey {

void gemm(Transpose a_transposed, Transpose b_transposed, int m, int n, int k, const float* a, int lda,
          const float* b, int ldb, float beta, float* c, int ldc) {
  openblas_set_num_threads(threads());
  cblas_sgemm(CblasRowMajor, a_transposed == Transpose::yes ? CblasTrans : CblasNoTrans,
              b_transposed == Transpose::yes ? CblasTrans : CblasNoTrans, m, n, k, 1.0f, a, lda, b, ldb, beta,
              c, ldc);
}

}  // namespace osprey
