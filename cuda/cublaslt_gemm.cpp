// Products of matrices by cuBLASLt: 1x1 convolutions and [connected].
//
// cuBLASLt counts columns first, we count rows first: our matrix [rows, columns] is its [columns, rows],
// transposed. With x [m,k], weights [n,k] and y [m,n], as cuBLASLt sees them x is k x m, weights k x n and y
// n x m:
//   forward           y  = weights^T x        n x m = (k x n)^T (k x m)     depth k
//   backward data     dx = weights dy         k x m = (k x n) (n x m)       depth n
//   backward weights  dweights = x dy^T       k x n = (k x m) (n x m)^T     depth m

#include <map>

#include "core/error.h"
#include "cuda/convolution_ways.h"
#include "cuda/epilogue.h"
#include "cuda/library_functions.h"

namespace osprey::cuda {
namespace {

constexpr uint64_t kMostWorkspace = 32 << 20;  // what NVIDIA advises for Hopper
constexpr uint32_t kTensorAlignment = 16;
constexpr int kMostAlgorithms = 8;

void check(cublasStatus_t status, std::string_view call) {
  if (status != CUBLAS_STATUS_SUCCESS) fail("{}: cuBLASLt says {}", call, cublaslt().status_name(status));
}

// One for each host thread and GPU, to the end of the program.
cublasLtHandle_t handle_of_thread() {
  thread_local std::map<int, cublasLtHandle_t> handles;
  cublasLtHandle_t& handle = handles[current_device()];
  if (!handle) check(cublaslt().create(&handle), "cublasLtCreate");
  return handle;
}

cudaDataType data_type(Type type) { return type == Type::bf16 ? CUDA_R_16BF : CUDA_R_32F; }

// Owns what a library creates; each kind knows how it is destroyed.
struct Destroy {
  void operator()(cublasLtMatmulDesc_t d) const { cublaslt().product_destroy(d); }
  void operator()(cublasLtMatrixLayout_t d) const { cublaslt().layout_destroy(d); }
  void operator()(cublasLtMatmulPreference_t d) const { cublaslt().preference_destroy(d); }
};
template <class Pointer>
using Owned = std::unique_ptr<std::remove_pointer_t<Pointer>, Destroy>;

Owned<cublasLtMatrixLayout_t> layout(Type type, int rows, int columns) {
  cublasLtMatrixLayout_t made = nullptr;
  check(cublaslt().layout_create(&made, data_type(type), rows, columns, rows), "cublasLtMatrixLayoutCreate");
  return Owned<cublasLtMatrixLayout_t>(made);
}

template <class T>
void set(cublasLtMatmulDesc_t d, cublasLtMatmulDescAttributes_t name, const T& value) {
  check(cublaslt().product_set(d, name, &value, sizeof value), "cublasLtMatmulDescSetAttribute");
}
template <class T>
void set(cublasLtMatmulPreference_t d, cublasLtMatmulPreferenceAttributes_t name, const T& value) {
  check(cublaslt().preference_set(d, name, &value, sizeof value), "cublasLtMatmulPreferenceSetAttribute");
}

// One direction, as cuBLASLt is told it: d = a b (each perhaps transposed), added to c if `beta`.
struct Product {
  ConvolutionProblem problem;
  Direction direction;
  bool fused = false;  // bias and relu in cuBLASLt's kernel
  Owned<cublasLtMatmulDesc_t> description;
  Owned<cublasLtMatrixLayout_t> a, b, d;  // c lies as d does
  float beta = 0;

  Product(const ConvolutionProblem&, Direction, bool fused);

  // What lies at a, b, c and d.
  struct Operands {
    const void *a, *b, *c;
    void* d;
  };
  Operands operands(const ConvolutionBuffers& buffers) const {
    switch (direction) {
      case Direction::forward:
        return {buffers.weights, buffers.x, fused && problem.residual ? buffers.residual : buffers.y,
                buffers.y};
      case Direction::backward_weights:
        return {buffers.x, buffers.y, buffers.weights, buffers.weights};
      default:
        return {buffers.weights, buffers.y, buffers.x, buffers.x};
    }
  }
};

Product::Product(const ConvolutionProblem& p, Direction direction, bool fused)
    : problem(p), direction(direction), fused(fused) {
  const int m = p.y().rows(), k = p.x.c, n = p.filters;
  const cublasComputeType_t sums =
      p.input_type == Type::f32 && p.allow_tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
  cublasLtMatmulDesc_t made = nullptr;
  check(cublaslt().product_create(&made, sums, CUDA_R_32F), "cublasLtMatmulDescCreate");
  description.reset(made);
  auto x = layout(p.input_type, k, m), weights = layout(p.input_type, k, n), y = layout(p.input_type, n, m);
  switch (direction) {
    case Direction::forward:
      set(made, CUBLASLT_MATMUL_DESC_TRANSA, CUBLAS_OP_T);
      a = std::move(weights), b = std::move(x), d = layout(p.output_type, n, m);
      break;
    case Direction::backward_weights:
      set(made, CUBLASLT_MATMUL_DESC_TRANSB, CUBLAS_OP_T);
      a = std::move(x), b = std::move(y), d = layout(Type::f32, k, n);
      beta = 1;
      break;
    default:
      a = std::move(weights), b = std::move(y), d = std::move(x);
      beta = direction == Direction::backward_data_add ? 1 : 0;
  }
  if (!fused) return;
  const bool relu = p.activation == Activation::relu || p.residual_activation == Activation::relu;
  const cublasLtEpilogue_t epilogue = p.bias ? relu ? CUBLASLT_EPILOGUE_RELU_BIAS : CUBLASLT_EPILOGUE_BIAS
                                      : relu ? CUBLASLT_EPILOGUE_RELU
                                             : CUBLASLT_EPILOGUE_DEFAULT;
  set(made, CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue);
  if (p.bias) set(made, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, CUDA_R_32F);
  if (p.residual) beta = 1;
}

// The numbers that tell one algorithm from another.
std::string name_of(const cublasLtMatmulAlgo_t& algorithm) {
  std::string name = "algorithm";
  for (cublasLtMatmulAlgoConfigAttributes_t attribute :
       {CUBLASLT_ALGO_CONFIG_ID, CUBLASLT_ALGO_CONFIG_TILE_ID, CUBLASLT_ALGO_CONFIG_STAGES_ID,
        CUBLASLT_ALGO_CONFIG_SPLITK_NUM, CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME,
        CUBLASLT_ALGO_CONFIG_CTA_SWIZZLING, CUBLASLT_ALGO_CONFIG_CUSTOM_OPTION,
        CUBLASLT_ALGO_CONFIG_INNER_SHAPE_ID, CUBLASLT_ALGO_CONFIG_CLUSTER_SHAPE_ID}) {
    uint32_t value = 0;  // inner shape and cluster are of 16 bits: the rest stays 0
    const size_t bytes =
        attribute == CUBLASLT_ALGO_CONFIG_INNER_SHAPE_ID || attribute == CUBLASLT_ALGO_CONFIG_CLUSTER_SHAPE_ID
            ? sizeof(uint16_t)
            : sizeof(uint32_t);
    size_t written = 0;
    check(cublaslt().algorithm_get(&algorithm, attribute, &value, bytes, &written),
          "cublasLtMatmulAlgoConfigGetAttribute");
    name += fmt::format(" {}", value);
  }
  return name;
}

// Best first; none if cuBLASLt refuses the product.
std::vector<cublasLtMatmulHeuristicResult_t> propose(const Product& product) {
  cublasLtMatmulPreference_t made = nullptr;
  check(cublaslt().preference_create(&made), "cublasLtMatmulPreferenceCreate");
  const Owned<cublasLtMatmulPreference_t> preference(made);
  set(made, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, kMostWorkspace);
  // Partial sums in f32 and in a fixed order, whatever the type of the result.
  set(made, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, uint32_t(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
  for (auto name : {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
                    CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES})
    set(made, name, kTensorAlignment);
  std::vector<cublasLtMatmulHeuristicResult_t> results(kMostAlgorithms);
  int count = 0;
  const cublasStatus_t status =
      cublaslt().heuristic(handle_of_thread(), product.description.get(), product.a.get(), product.b.get(),
                           product.d.get(), product.d.get(), made, kMostAlgorithms, results.data(), &count);
  if (status == CUBLAS_STATUS_NOT_SUPPORTED || status == CUBLAS_STATUS_INVALID_VALUE) return {};
  check(status, "cublasLtMatmulAlgoGetHeuristic");
  results.resize(count);
  return results;
}

class CublasLtWay final : public Way {
 public:
  CublasLtWay(std::shared_ptr<Product> product, const cublasLtMatmulHeuristicResult_t& chosen)
      : product_(std::move(product)), chosen_(chosen), handle_(handle_of_thread()) {}

  size_t workspace_bytes() const override { return chosen_.workspaceSize; }

  void run(Stream& stream, const ConvolutionBuffers& buffers, void* workspace) override {
    const ConvolutionProblem& p = product_->problem;
    const Product::Operands o = product_->operands(buffers);
    const float alpha = 1;
    if (product_->fused && p.bias)
      set(product_->description.get(), CUBLASLT_MATMUL_DESC_BIAS_POINTER, buffers.bias);
    const cublasStatus_t status = cublaslt().multiply(
        handle_, product_->description.get(), &alpha, o.a, product_->a.get(), o.b, product_->b.get(),
        &product_->beta, o.c, product_->d.get(), o.d, product_->d.get(), &chosen_.algo, workspace,
        chosen_.workspaceSize, static_cast<cudaStream_t>(stream.handle));
    if (status != CUBLAS_STATUS_SUCCESS)
      check(status,
            fmt::format("cublasLtMatmul of the {} {}", kDirectionNames[int(product_->direction)], p.text()));
    if (product_->direction != Direction::forward || product_->fused) return;
    const Tensor y(buffers.y, p.y(), p.output_type);
    if (p.bias || p.residual || p.activation != Activation::linear)
      epilogue(stream, y, {buffers.bias, {1, 1, 1, p.filters}}, p.activation,
               Tensor(buffers.residual, y.shape, y.type), p.residual_activation, y);
  }

 private:
  std::shared_ptr<Product> product_;
  cublasLtMatmulHeuristicResult_t chosen_;
  cublasLtHandle_t handle_;
};

bool one_pixel(const Window& w) { return w.size == 1 && w.stride == 1 && w.padding == 0; }

// cuBLASLt has bias, a residual by way of beta, and relu last; everything else follows in a pass of its own.
bool can_fuse(const ConvolutionProblem& p) {
  const auto linear_or_relu = [](Activation a) { return a == Activation::linear || a == Activation::relu; };
  if (!p.residual) return linear_or_relu(p.activation);
  return p.activation == Activation::linear && linear_or_relu(p.residual_activation);
}

}  // namespace

std::vector<Proposal> cublaslt_proposals(const ConvolutionProblem& p, Direction direction) {
  if (!one_pixel(p.convolution.window.h) || !one_pixel(p.convolution.window.w) || p.convolution.groups != 1)
    return {};
  std::vector<Proposal> proposals;
  const bool forward = direction == Direction::forward;
  for (bool fused : {true, false}) {
    if (fused && !(forward && can_fuse(p))) continue;
    const std::string family = fused ? "cuBLASLt, fused" : "cuBLASLt";
    const auto product = std::make_shared<Product>(p, direction, fused);
    for (const cublasLtMatmulHeuristicResult_t& result : propose(*product))
      if (result.state == CUBLAS_STATUS_SUCCESS)
        proposals.push_back({fmt::format("{}: {}", family, name_of(result.algo)), family, false,
                             [product, result] { return std::make_unique<CublasLtWay>(product, result); }});
  }
  return proposals;
}

}  // namespace osprey::cuda
