// The functions of cuDNN and cuBLASLt that we call, typed by their headers. For cuda/cudnn_*.cpp and
// cuda/cublaslt_*.cpp alone, since those headers are heavy.
#pragma once

#include <cublasLt.h>
#include <cudnn.h>

#include <string_view>

namespace osprey::cuda {

struct CudnnFunctions {
  decltype(&::cudnnGetVersion) version;
  decltype(&::cudnnGetErrorString) error_string;
  decltype(&::cudnnGetLastErrorString) last_error_string;
  decltype(&::cudnnCreate) create;
  decltype(&::cudnnSetStream) set_stream;
  decltype(&::cudnnBackendCreateDescriptor) create_descriptor;
  decltype(&::cudnnBackendDestroyDescriptor) destroy_descriptor;
  decltype(&::cudnnBackendSetAttribute) set_attribute;
  decltype(&::cudnnBackendGetAttribute) get_attribute;
  decltype(&::cudnnBackendFinalize) finalize;
  decltype(&::cudnnBackendExecute) execute;
};

struct CublasLtFunctions {
  decltype(&::cublasLtGetVersion) version;
  decltype(&::cublasLtGetStatusName) status_name;
  decltype(&::cublasLtCreate) create;
  decltype(&::cublasLtMatmulDescCreate) product_create;
  decltype(&::cublasLtMatmulDescDestroy) product_destroy;
  decltype(&::cublasLtMatmulDescSetAttribute) product_set;
  decltype(&::cublasLtMatrixLayoutCreate) layout_create;
  decltype(&::cublasLtMatrixLayoutDestroy) layout_destroy;
  decltype(&::cublasLtMatmulPreferenceCreate) preference_create;
  decltype(&::cublasLtMatmulPreferenceDestroy) preference_destroy;
  decltype(&::cublasLtMatmulPreferenceSetAttribute) preference_set;
  decltype(&::cublasLtMatmulAlgoGetHeuristic) heuristic;
  decltype(&::cublasLtMatmulAlgoConfigGetAttribute) algorithm_get;
  decltype(&::cublasLtMatmul) multiply;
};

// An Error with the call's name and CUDA's words for the status.
void check_cuda(cudaError_t, std::string_view call);
int current_device();

// An Error with cudnn_missing() if it is not available.
const CudnnFunctions& cudnn();
const CublasLtFunctions& cublaslt();

}  // namespace osprey::cuda
