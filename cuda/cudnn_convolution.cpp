// Convolution as cuDNN's operation graphs, with our epilogue behind those that it cannot fuse.

#include <map>

#include "core/error.h"
#include "cuda/convolution_ways.h"
#include "cuda/cudnn_plans.h"
#include "cuda/epilogue.h"
#include "cuda/library_functions.h"

namespace osprey::cuda {
namespace {

// One for each host thread and GPU, since a handle serves one thread at a time. They live to the end of the
// program: by then the driver may be gone, and destroying a handle is an error.
cudnnHandle_t handle_of_thread() {
  thread_local std::map<int, cudnnHandle_t> handles;
  cudnnHandle_t& handle = handles[current_device()];
  if (!handle) check_cudnn(cudnn().create(&handle), "cudnnCreate");
  return handle;
}

// A graph, and where its result goes: to the place that the caller names, or by a detour through the
// workspace.
struct Recipe {
  const char* family;
  OperationGraph graph;
  bool epilogue = false;  // bias, activation and residual come after the graph
  bool detour = false;
  Type detour_type = Type::f32;
  bool last_resort = false;
};

class CudnnWay final : public Way {
 public:
  CudnnWay(const ConvolutionProblem& problem, Direction direction, std::shared_ptr<const Recipe> recipe,
           Plan&& plan, cudnnHandle_t handle)
      : problem_(problem),
        direction_(direction),
        recipe_(std::move(recipe)),
        plan_(std::move(plan)),
        handle_(handle) {}

  size_t workspace_bytes() const override {
    const size_t detour =
        recipe_->detour ? size_t(result_shape().elements()) * bytes_of(recipe_->detour_type) : 0;
    return workspace_aligned(plan_.workspace_bytes) + detour;
  }

  void run(Stream& stream, const ConvolutionBuffers& buffers, void* workspace) override {
    ConvolutionBuffers targets = buffers;
    void*& target = result_of(targets);
    void* const result = target;
    if (recipe_->detour) target = static_cast<char*>(workspace) + workspace_aligned(plan_.workspace_bytes);
    execute(stream, targets, workspace);
    if (recipe_->epilogue || recipe_->detour) finish(stream, target, result, buffers);
  }

 private:
  // From the graph's result to the caller's: the epilogue, or the addition to a gradient.
  void finish(Stream& stream, void* from, void* to, const ConvolutionBuffers& buffers) const {
    const Shape shape = result_shape();
    const bool forward = direction_ == Direction::forward;
    const Type type = forward                                     ? problem_.output_type
                      : direction_ == Direction::backward_weights ? Type::f32
                                                                  : problem_.input_type;
    const Tensor result(to, shape, type), sums(from, shape, recipe_->detour ? recipe_->detour_type : type);
    if (forward)
      epilogue(stream, sums, {buffers.bias, {1, 1, 1, problem_.filters}}, problem_.activation,
               Tensor(buffers.residual, shape, type), problem_.residual_activation, result);
    else
      epilogue(stream, sums, {}, Activation::linear, result, Activation::linear, result);
  }

  void*& result_of(ConvolutionBuffers& b) const {
    return direction_ == Direction::forward            ? b.y
           : direction_ == Direction::backward_weights ? b.weights
                                                       : b.x;
  }
  Shape result_shape() const {
    return direction_ == Direction::forward            ? problem_.y()
           : direction_ == Direction::backward_weights ? problem_.weights()
                                                       : problem_.x;
  }

  static void* pointer(int64_t id, const ConvolutionBuffers& b) {
    switch (id) {
      case kX:
        return b.x;
      case kWeights:
      case kBefore:
        return b.weights;
      case kBias:
        return const_cast<float*>(b.bias);
      case kResidual:
        return b.residual;
      default:
        return b.y;
    }
  }

  void execute(const Stream& stream, const ConvolutionBuffers& buffers, void* workspace) {
    std::vector<void*> pointers;
    for (int64_t id : recipe_->graph.tensors) pointers.push_back(pointer(id, buffers));
    Descriptor pack(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
    pack.set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, recipe_->graph.tensors)
        .set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, pointers)
        .set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, workspace)
        .finalize("the pointers");
    check_cudnn(cudnn().set_stream(handle_, static_cast<cudaStream_t>(stream.handle)), "cudnnSetStream");
    const cudnnStatus_t status = cudnn().execute(handle_, plan_.plan.handle(), pack.handle());
    if (status != CUDNN_STATUS_SUCCESS)
      check_cudnn(status, fmt::format("cudnnBackendExecute of the {} {}", kDirectionNames[int(direction_)],
                                      problem_.text()));
  }

  ConvolutionProblem problem_;
  Direction direction_;
  std::shared_ptr<const Recipe> recipe_;
  Plan plan_;
  cudnnHandle_t handle_;
};

bool keeps_f32(const ConvolutionProblem& p) { return p.input_type == Type::f32 && !p.allow_tf32; }

// cuDNN does not say how precise its exponentials are. Where f32 is to stay f32 they are ours.
bool fusable(const ConvolutionProblem& p, Activation a) {
  const bool by_parts = a == Activation::linear || a == Activation::relu || a == Activation::leaky;
  return can_fuse(a) && (by_parts || !keeps_f32(p));
}

std::vector<Recipe> forward_recipes(const Target& t, const ConvolutionProblem& p) {
  const bool epilogue = p.bias || p.residual || p.activation != Activation::linear;
  std::vector<Recipe> recipes;
  if (epilogue && fusable(p, p.activation) && fusable(p, p.residual_activation))
    recipes.push_back({"cuDNN, fused", forward_graph(t, p, true)});
  recipes.push_back({"cuDNN", forward_graph(t, p, false), epilogue});
  if (p.output_type != p.input_type) {
    ConvolutionProblem rounded = p;
    rounded.output_type = p.input_type;
    recipes.push_back(
        {"cuDNN, rounded", forward_graph(t, rounded, false), epilogue, true, p.input_type, true});
  }
  return recipes;
}

std::vector<Recipe> recipes_for(const Target& t, const ConvolutionProblem& p, Direction direction) {
  std::vector<Recipe> recipes;
  switch (direction) {
    case Direction::forward:
      return forward_recipes(t, p);
    case Direction::backward_data:
      recipes.push_back({"cuDNN", backward_data_graph(t, p, false)});
      break;
    case Direction::backward_data_add:
      recipes.push_back({"cuDNN", backward_data_graph(t, p, true)});
      recipes.push_back(
          {"cuDNN, then added", backward_data_graph(t, p, false), false, true, p.input_type, true});
      break;
    case Direction::backward_weights:
      recipes.push_back({"cuDNN", backward_weights_graph(t, p, Type::f32, true)});
      // For bf16 it has kernels that store bf16 for every shape, but f32 only for even numbers of channels
      // without groups.
      recipes.push_back({"cuDNN, then added", backward_weights_graph(t, p, p.input_type, false), false, true,
                         p.input_type, true});
      break;
  }
  return recipes;
}

}  // namespace

std::vector<Proposal> cudnn_proposals(const ConvolutionProblem& p, Direction direction) {
  const cudnnHandle_t handle = handle_of_thread();
  const Target target(handle);
  std::vector<Proposal> fast, fallback;
  for (Recipe& made : recipes_for(target, p, direction)) {
    const auto recipe = std::make_shared<const Recipe>(std::move(made));
    for (EngineConfiguration& proposed : propose_engines(recipe->graph, target, keeps_f32(p))) {
      const auto engine = std::make_shared<const EngineConfiguration>(std::move(proposed));
      const auto make = [p, direction, handle, recipe, engine]() -> std::unique_ptr<Way> {
        std::optional<Plan> plan = make_plan(*engine, Target(handle));
        if (!plan) return nullptr;
        return std::make_unique<CudnnWay>(p, direction, recipe, std::move(*plan), handle);
      };
      (engine->fallback ? fallback : fast)
          .push_back({fmt::format("{}: {}", recipe->family, engine->name), recipe->family,
                      recipe->last_resort, make});
    }
  }
  std::move(fallback.begin(), fallback.end(), std::back_inserter(fast));
  return fast;
}

}  // namespace osprey::cuda
