// Convolution as cuDNN's operation graphs, with our epilogue behind those that it cannot fuse.

#include <map>

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
           Plan&& plan)
      : problem_(problem),
        direction_(direction),
        recipe_(std::move(recipe)),
        plan_(std::move(plan)),
        handle_(handle_of_thread()) {}

  size_t workspace_bytes() const override {
    const size_t detour =
        recipe_->detour ? size_t(result_shape().elements()) * bytes_of(recipe_->detour_type) : 0;
    return workspace_aligned(plan_.workspace_bytes) + detour;
  }

  void run(Stream& stream, const ConvolutionBuffers& buffers, void* workspace) override {
    void* detour = static_cast<char*>(workspace) + workspace_aligned(plan_.workspace_bytes);
    void* result = result_of(buffers);
    ConvolutionBuffers targets = buffers;
    if (recipe_->detour) result_of(targets) = detour;
    execute(stream, targets, workspace);
    if (direction_ == Direction::forward) {
      if (!recipe_->epilogue && !recipe_->detour) return;
      const Tensor y(result, result_shape(), problem_.output_type);
      const Tensor sums = recipe_->detour ? Tensor(detour, y.shape, recipe_->detour_type) : y;
      const View<const float> bias(buffers.bias, {1, 1, 1, problem_.filters});
      epilogue(stream, sums, bias, problem_.activation, Tensor(buffers.residual, y.shape, y.type),
               problem_.residual_activation, y);
    } else if (recipe_->detour) {
      const Type type = direction_ == Direction::backward_weights ? Type::f32 : problem_.input_type;
      const Tensor sum(result, result_shape(), type);
      epilogue(stream, Tensor(detour, sum.shape, recipe_->detour_type), {}, Activation::linear, sum,
               Activation::linear, sum);
    }
  }

 private:
  void*& result_of(ConvolutionBuffers& b) const {
    return direction_ == Direction::forward            ? b.y
           : direction_ == Direction::backward_weights ? b.weights
                                                       : b.x;
  }
  void* result_of(const ConvolutionBuffers& b) const { return result_of(const_cast<ConvolutionBuffers&>(b)); }
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

std::vector<Recipe> forward_recipes(const ConvolutionProblem& p) {
  const bool epilogue = p.bias || p.residual || p.activation != Activation::linear;
  std::vector<Recipe> recipes;
  if (epilogue && fusable(p, p.activation) && fusable(p, p.residual_activation))
    recipes.push_back({"cuDNN, fused", forward_graph(p, true)});
  recipes.push_back({"cuDNN", forward_graph(p, false), epilogue});
  if (p.output_type != p.input_type) {
    ConvolutionProblem rounded = p;
    rounded.output_type = p.input_type;
    recipes.push_back({"cuDNN, rounded", forward_graph(rounded, false), epilogue, true, p.input_type, true});
  }
  return recipes;
}

std::vector<Recipe> recipes_for(const ConvolutionProblem& p, Direction direction) {
  std::vector<Recipe> recipes;
  switch (direction) {
    case Direction::forward:
      return forward_recipes(p);
    case Direction::backward_data:
      recipes.push_back({"cuDNN", backward_data_graph(p, false)});
      break;
    case Direction::backward_data_add:
      recipes.push_back({"cuDNN", backward_data_graph(p, true)});
      recipes.push_back(
          {"cuDNN, then added", backward_data_graph(p, false), false, true, p.input_type, true});
      break;
    case Direction::backward_weights:
      recipes.push_back({"cuDNN", backward_weights_graph(p, Type::f32, true)});
      // For bf16 it has kernels that store bf16 for every shape, but f32 for multiples of 8 channels only.
      recipes.push_back({"cuDNN, then added", backward_weights_graph(p, p.input_type, false), false, true,
                         p.input_type, true});
      break;
  }
  return recipes;
}

}  // namespace

std::vector<Proposal> cudnn_proposals(const ConvolutionProblem& p, Direction direction) {
  const auto gpu = std::make_shared<const Descriptor>(current_gpu());
  std::vector<Proposal> fast, fallback;
  for (Recipe& made : recipes_for(p, direction)) {
    const auto recipe = std::make_shared<const Recipe>(std::move(made));
    for (EngineConfiguration& proposed : propose_engines(recipe->graph, *gpu, keeps_f32(p))) {
      const auto engine = std::make_shared<const EngineConfiguration>(std::move(proposed));
      const auto make = [p, direction, gpu, recipe, engine]() -> std::unique_ptr<Way> {
        std::optional<Plan> plan = make_plan(*engine, *gpu);
        if (!plan) return nullptr;
        return std::make_unique<CudnnWay>(p, direction, recipe, std::move(*plan));
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
