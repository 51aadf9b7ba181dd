#include "cuda/libraries.h"

#include <gtest/gtest.h>

#include <cstdio>

#include "cuda/library_functions.h"

namespace osprey::test {
namespace {

using namespace osprey::cuda;

// Every function of the table: a table is resolved whole or not at all.
TEST(Libraries, CudnnHasEveryFunctionThatIsCalled) {
  ASSERT_TRUE(cudnn_available()) << cudnn_missing();
  std::printf("cuDNN %s\n", cudnn_version().c_str());
  EXPECT_EQ(cudnn_version()[0], '0' + CUDNN_MAJOR);
  EXPECT_STREQ(cudnn().error_string(CUDNN_STATUS_BAD_PARAM), "CUDNN_STATUS_BAD_PARAM");
}

TEST(Libraries, CublasLtHasEveryFunctionThatIsCalled) {
  ASSERT_TRUE(cublaslt_available()) << cublaslt_missing();
  std::printf("cuBLASLt %s\n", cublaslt_version().c_str());
  EXPECT_EQ(cublaslt_version().substr(0, 2), std::to_string(CUBLAS_VER_MAJOR));
  EXPECT_STREQ(cublaslt().status_name(CUBLAS_STATUS_NOT_SUPPORTED), "CUBLAS_STATUS_NOT_SUPPORTED");
}

}  // namespace
}  // namespace osprey::test
