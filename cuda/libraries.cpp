#include "cuda/libraries.h"

#include <cuda_runtime_api.h>

#include "core/error.h"
#include "cuda/library.h"
#include "cuda/library_functions.h"

namespace osprey::cuda {
namespace {

struct Cudnn {
  Library library = {{soname("libcudnn", CUDNN_MAJOR), soname("libcudnn_graph", CUDNN_MAJOR)},
                     "convolutions run on the plain kernels, slower"};
  CudnnFunctions functions = {};

  Cudnn() {
    Library& l = library;
    CudnnFunctions& f = functions;
    l.resolve(f.version, "cudnnGetVersion");
    l.resolve(f.error_string, "cudnnGetErrorString");
    l.resolve(f.last_error_string, "cudnnGetLastErrorString");
    l.resolve(f.create, "cudnnCreate");
    l.resolve(f.set_stream, "cudnnSetStream");
    l.resolve(f.create_descriptor, "cudnnBackendCreateDescriptor");
    l.resolve(f.destroy_descriptor, "cudnnBackendDestroyDescriptor");
    l.resolve(f.set_attribute, "cudnnBackendSetAttribute");
    l.resolve(f.get_attribute, "cudnnBackendGetAttribute");
    l.resolve(f.finalize, "cudnnBackendFinalize");
    l.resolve(f.execute, "cudnnBackendExecute");
  }
};

struct CublasLt {
  Library library = {{soname("libcublasLt", CUBLAS_VER_MAJOR)},
                     "[connected] runs on the plain kernels, slower"};
  CublasLtFunctions functions = {};

  CublasLt() {
    Library& l = library;
    CublasLtFunctions& f = functions;
    l.resolve(f.version, "cublasLtGetVersion");
    l.resolve(f.status_name, "cublasLtGetStatusName");
    l.resolve(f.create, "cublasLtCreate");
    l.resolve(f.product_create, "cublasLtMatmulDescCreate");
    l.resolve(f.product_destroy, "cublasLtMatmulDescDestroy");
    l.resolve(f.product_set, "cublasLtMatmulDescSetAttribute");
    l.resolve(f.layout_create, "cublasLtMatrixLayoutCreate");
    l.resolve(f.layout_destroy, "cublasLtMatrixLayoutDestroy");
    l.resolve(f.preference_create, "cublasLtMatmulPreferenceCreate");
    l.resolve(f.preference_destroy, "cublasLtMatmulPreferenceDestroy");
    l.resolve(f.preference_set, "cublasLtMatmulPreferenceSetAttribute");
    l.resolve(f.heuristic, "cublasLtMatmulAlgoGetHeuristic");
    l.resolve(f.algorithm_get, "cublasLtMatmulAlgoConfigGetAttribute");
    l.resolve(f.multiply, "cublasLtMatmul");
  }
};

const Cudnn& loaded_cudnn() {
  static const Cudnn cudnn;
  return cudnn;
}
const CublasLt& loaded_cublaslt() {
  static const CublasLt cublaslt;
  return cublaslt;
}

// 91900 is 9.19.0 to cuDNN, 130100 is 13.1.0 to cuBLASLt.
std::string version_text(size_t version, size_t major, size_t minor) {
  return fmt::format("{}.{}.{}", version / major, version % major / minor, version % minor);
}

}  // namespace

bool cudnn_available() { return cudnn_missing().empty(); }
std::string cudnn_missing() { return loaded_cudnn().library.missing(); }
std::string cudnn_version() {
  return cudnn_available() ? version_text(cudnn().version(), 10000, 100) : std::string();
}

bool cublaslt_available() { return cublaslt_missing().empty(); }
std::string cublaslt_missing() { return loaded_cublaslt().library.missing(); }
std::string cublaslt_version() {
  return cublaslt_available() ? version_text(cublaslt().version(), 10000, 100) : std::string();
}

void check_cuda(cudaError_t status, std::string_view call) {
  if (status != cudaSuccess) fail("{}: CUDA says {}", call, cudaGetErrorString(status));
}

int current_device() {
  int device = 0;
  check_cuda(cudaGetDevice(&device), "cudaGetDevice");
  return device;
}

const CudnnFunctions& cudnn() {
  if (!cudnn_available()) fail("{}", cudnn_missing());
  return loaded_cudnn().functions;
}
const CublasLtFunctions& cublaslt() {
  if (!cublaslt_available()) fail("{}", cublaslt_missing());
  return loaded_cublaslt().functions;
}

}  // namespace osprey::cuda
