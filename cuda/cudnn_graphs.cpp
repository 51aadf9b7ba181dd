#include "cuda/cudnn_graphs.h"
#include "core/error.h"

namespace osprey::cuda {
namespace {

// Every planned tensor and parameter starts at a cache line at least, if the parameter is bf16 at half of
// one.
constexpr int64_t kTensorAlignment = 16;

cudnnDataType_t data_type(Type type) { return type == Type::bf16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT; }

// Collects the tensors and operations of one graph.
class GraphMaker {
 public:
  // A tensor in memory, or one between two operations that never exists as a whole.
  const Descriptor& tensor(int64_t id, Shape s, Type type, bool in_memory = true) {
    Descriptor d(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    // cuDNN counts n, c, h, w, wherever they lie: only the strides say that channels lie side by side.
    d.set(CUDNN_ATTR_TENSOR_DATA_TYPE, data_type(type))
        .set(CUDNN_ATTR_TENSOR_UNIQUE_ID, id)
        .set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, kTensorAlignment)
        .set(CUDNN_ATTR_TENSOR_DIMENSIONS, std::vector<int64_t>{s.n, s.c, s.h, s.w})
        .set(CUDNN_ATTR_TENSOR_STRIDES,
             std::vector<int64_t>{int64_t(s.h) * s.w * s.c, 1, int64_t(s.w) * s.c, s.c})
        .set(CUDNN_ATTR_TENSOR_IS_VIRTUAL, !in_memory);
    if (in_memory) graph_.tensors.push_back(id);
    return keep(std::move(d.finalize("a tensor")));
  }
  const Descriptor& intermediate(Shape s) { return tensor(next_++, s, Type::f32, false); }

  const Descriptor& convolution(const Convolution& c) {
    const Window &h = c.window.h, &w = c.window.w;
    using Pair = std::vector<int64_t>;
    Descriptor d(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
    d.set(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_DATA_FLOAT)
        .set(CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_CROSS_CORRELATION)
        .set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, int64_t(2))
        .set(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, Pair{h.before, w.before})
        .set(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, Pair{h.padding - h.before, w.padding - w.before})
        .set(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, Pair{h.stride, w.stride})
        .set(CUDNN_ATTR_CONVOLUTION_DILATIONS, Pair{h.dilation, w.dilation});
    return keep(std::move(d.finalize("a convolution")));
  }

  void operation(Descriptor&& d) { operations_.push_back(&keep(std::move(d.finalize("an operation")))); }

  // out = f(in), or f(in, other).
  void pointwise(Descriptor&& f, const Descriptor& in, const Descriptor* other, const Descriptor& out) {
    const Descriptor& kept = keep(std::move(f.finalize("a pointwise function")));
    Descriptor d(CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
    d.set(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, kept)
        .set(CUDNN_ATTR_OPERATION_POINTWISE_XDESC, in)
        .set(CUDNN_ATTR_OPERATION_POINTWISE_YDESC, out);
    if (other) d.set(CUDNN_ATTR_OPERATION_POINTWISE_BDESC, *other);
    operation(std::move(d));
  }

  OperationGraph finish(const Target& target) {
    graph_.graph = Descriptor(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    target.tell(graph_.graph, CUDNN_ATTR_OPERATIONGRAPH_HANDLE);
    graph_.graph.set(CUDNN_ATTR_OPERATIONGRAPH_OPS, operations_).finalize("an operation graph");
    for (auto& part : parts_) graph_.parts.push_back(std::move(*part));
    return std::move(graph_);
  }

 private:
  const Descriptor& keep(Descriptor&& d) {
    parts_.push_back(std::make_unique<Descriptor>(std::move(d)));
    return *parts_.back();
  }

  OperationGraph graph_;
  std::vector<std::unique_ptr<Descriptor>> parts_;  // so that references to them last
  std::vector<const Descriptor*> operations_;
  int64_t next_ = kFirstIntermediate;
};

Descriptor function(cudnnPointwiseMode_t mode) {
  Descriptor d(CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
  d.set(CUDNN_ATTR_POINTWISE_MODE, mode).set(CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_DATA_FLOAT);
  return d;
}

Descriptor leaky_function() {
  Descriptor d = function(CUDNN_POINTWISE_RELU_FWD);
  d.set(CUDNN_ATTR_POINTWISE_RELU_LOWER_CLIP_SLOPE, 0.1);
  return d;
}

Descriptor activation_function(Activation a) {
  switch (a) {
    case Activation::relu:
      return function(CUDNN_POINTWISE_RELU_FWD);
    case Activation::leaky:
      return leaky_function();
    case Activation::swish:
      return function(CUDNN_POINTWISE_SWISH_FWD);
    case Activation::logistic:
      return function(CUDNN_POINTWISE_SIGMOID_FWD);
    case Activation::tanh:
      return function(CUDNN_POINTWISE_TANH_FWD);
    default:
      fail("cuDNN has no activation {}", kActivationNames[int(a)]);
  }
}

// One step of the epilogue, from the tensor that the last one left.
class EpilogueMaker {
 public:
  EpilogueMaker(GraphMaker& graph, Shape shape, const Descriptor& first, const Descriptor& y, int steps)
      : graph_(graph), shape_(shape), last_(&first), y_(y), left_(steps) {}

  static int steps(Activation a) { return a == Activation::linear ? 0 : a == Activation::mish ? 3 : 1; }

  void step(Descriptor&& f, const Descriptor* other = nullptr) {
    const Descriptor& out = --left_ == 0 ? y_ : graph_.intermediate(shape_);
    graph_.pointwise(std::move(f), *last_, other, out);
    last_ = &out;
  }
  void activation(Activation a) {
    if (a == Activation::linear) return;
    if (a != Activation::mish) return step(activation_function(a));
    const Descriptor& x = *last_;  // mish(x) = x tanh(softplus(x))
    step(function(CUDNN_POINTWISE_SOFTPLUS_FWD));
    step(function(CUDNN_POINTWISE_TANH_FWD));
    step(function(CUDNN_POINTWISE_MUL), &x);
  }

 private:
  GraphMaker& graph_;
  Shape shape_;
  const Descriptor* last_;
  const Descriptor& y_;
  int left_;
};

}  // namespace

bool can_fuse(Activation a) {
  switch (a) {
    case Activation::linear:
    case Activation::relu:
    case Activation::leaky:
    case Activation::swish:
    case Activation::mish:
    case Activation::logistic:
    case Activation::tanh:
      return true;
    default:
      return false;
  }
}

OperationGraph forward_graph(const Target& target, const ConvolutionProblem& p, bool fused) {
  GraphMaker graph;
  const Shape shape = p.y();
  const Descriptor& x = graph.tensor(kX, p.x, p.input_type);
  const Descriptor& weights = graph.tensor(kWeights, p.weights(), p.input_type);
  const Descriptor& y = graph.tensor(kY, shape, p.output_type);
  const int steps = !fused ? 0
                           : p.bias + p.residual + EpilogueMaker::steps(p.activation) +
                                 EpilogueMaker::steps(p.residual_activation);
  const Descriptor& sums = steps ? graph.intermediate(shape) : y;
  Descriptor d(CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR);
  d.set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, graph.convolution(p.convolution))
      .set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, x)
      .set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, weights)
      .set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, sums)
      .set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, 1.0)
      .set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, 0.0);
  graph.operation(std::move(d));
  if (steps) {
    EpilogueMaker epilogue(graph, shape, sums, y, steps);
    if (p.bias)
      epilogue.step(function(CUDNN_POINTWISE_ADD), &graph.tensor(kBias, {1, 1, 1, p.filters}, Type::f32));
    epilogue.activation(p.activation);
    if (p.residual)
      epilogue.step(function(CUDNN_POINTWISE_ADD), &graph.tensor(kResidual, shape, p.output_type));
    epilogue.activation(p.residual_activation);
  }
  return graph.finish(target);
}

OperationGraph backward_data_graph(const Target& target, const ConvolutionProblem& p, bool add) {
  GraphMaker graph;
  const Descriptor& dy = graph.tensor(kY, p.y(), p.input_type);
  const Descriptor& weights = graph.tensor(kWeights, p.weights(), p.input_type);
  const Descriptor& dx = graph.tensor(kX, p.x, p.input_type);
  Descriptor d(CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR);
  d.set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC, graph.convolution(p.convolution))
      .set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY, dy)
      .set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W, weights)
      .set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, dx)
      .set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA, 1.0)
      .set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA, add ? 1.0 : 0.0);
  graph.operation(std::move(d));
  return graph.finish(target);
}

OperationGraph backward_weights_graph(const Target& target, const ConvolutionProblem& p, Type stored,
                                      bool add) {
  GraphMaker graph;
  const Descriptor& x = graph.tensor(kX, p.x, p.input_type);
  const Descriptor& dy = graph.tensor(kY, p.y(), p.input_type);
  const Descriptor& dweights = graph.tensor(kWeights, p.weights(), stored);
  const bool addition = add && stored != p.input_type;
  const Descriptor& sums = addition ? graph.intermediate(p.weights()) : dweights;
  Descriptor d(CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR);
  d.set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC, graph.convolution(p.convolution))
      .set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X, x)
      .set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY, dy)
      .set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW, sums)
      .set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA, 1.0)
      .set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA, add && !addition ? 1.0 : 0.0);
  graph.operation(std::move(d));
  if (addition)
    graph.pointwise(function(CUDNN_POINTWISE_ADD), sums, &graph.tensor(kBefore, p.weights(), stored),
                    dweights);
  return graph.finish(target);
}

}  // namespace osprey::cuda
