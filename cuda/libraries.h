// NVIDIA's libraries are loaded when the first network for a GPU is made, not when the program starts: one
// binary serves machines that have them and machines that have not.
#pragma once

#include <string>

namespace osprey::cuda {

// Whether cuDNN 9 is here, with every function that we call. If not, cudnn_missing() says why and what
// follows: "libcudnn.so.9 was not found: convolutions run on the plain kernels, slower".
bool cudnn_available();
std::string cudnn_missing();  // empty if available
std::string cudnn_version();  // "9.19.0"; empty if missing

bool cublaslt_available();
std::string cublaslt_missing();
std::string cublaslt_version();  // "13.1.0"

}  // namespace osprey::cuda
