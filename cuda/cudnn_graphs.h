// A convolution's three directions as operation graphs of cuDNN. For cuda/cudnn_*.cpp alone.
#pragma once

#include <vector>

#include "cuda/cudnn_backend.h"
#include "cuda/fast_convolution.h"

namespace osprey::cuda {

// What a tensor of a graph is called when the graph is executed.
enum TensorId : int64_t { kX = 1, kWeights, kBias, kResidual, kY, kBefore, kFirstIntermediate };

struct OperationGraph {
  std::vector<Descriptor> parts;  // the tensors and operations that it is made of
  Descriptor graph;
  std::vector<int64_t>
      tensors;  // the ids of those that execution needs, in the order of execute()'s pointers
};

// Whether cuDNN has it as a pointwise operation: linear, relu, leaky, swish, mish, logistic and tanh.
bool can_fuse(Activation);

// y = the convolution, with the problem's bias, activation and residual if `fused`. The sums, and all between
// them and y, are in f32. Tensors: x, weights, y, bias and residual where there are.
OperationGraph forward_graph(const Target&, const ConvolutionProblem&, bool fused);

// dx (kX) from dy (kY) and the weights; adds to dx if `add`. Tensors: dy, weights, dx.
OperationGraph backward_data_graph(const Target&, const ConvolutionProblem&, bool add);

// dweights (kWeights, of type `stored`) from x and dy; adds to dweights if `add`. Tensors: x, dy, dweights,
// and dweights once more as kBefore where only an addition after the sums adds f32 to sums of bf16.
OperationGraph backward_weights_graph(const Target&, const ConvolutionProblem&, Type stored, bool add);

}  // namespace osprey::cuda
