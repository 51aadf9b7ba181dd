// A direction of a convolution can be computed in many ways: by this kernel or that one, of one library or
// the other, with its epilogue inside or behind. Libraries propose; cuda/fast_convolution_gpu.cpp chooses by
// the clock.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cuda/fast_convolution.h"

namespace osprey::cuda {

enum class Direction { forward, backward_data, backward_data_add, backward_weights };
inline constexpr const char* kDirectionNames[] = {"forward", "backward data", "backward data, added",
                                                  "backward weights"};

// The tensors, by their roles in the forward direction: going backward x, weights or y is the gradient.
struct ConvolutionBuffers {
  void *x = nullptr, *weights = nullptr, *y = nullptr;
  const float* bias = nullptr;
  void* residual = nullptr;
};

class Way {
 public:
  virtual ~Way() = default;
  virtual size_t workspace_bytes() const = 0;
  // The workspace starts at a multiple of kWorkspaceAlignment.
  virtual void run(Stream&, const ConvolutionBuffers&, void* workspace) = 0;
};
constexpr size_t kWorkspaceAlignment = 256;
inline size_t workspace_aligned(size_t bytes) {
  return (bytes + kWorkspaceAlignment - 1) / kWorkspaceAlignment * kWorkspaceAlignment;
}

struct Proposal {
  std::string name;                            // the same on every run: the cache remembers it
  std::string family;                          // only so many of a family are timed
  bool last_resort = false;                    // rounds once more than the others: only if there is no other
  std::function<std::unique_ptr<Way>()> make;  // null if it turns out that it cannot
};

// Best first, by the library's own estimate.
std::vector<Proposal> cudnn_proposals(const ConvolutionProblem&, Direction);

// For 1x1 convolutions that neither step nor pad nor group, which are products of matrices; else none.
std::vector<Proposal> cublaslt_proposals(const ConvolutionProblem&, Direction);

}  // namespace osprey::cuda
