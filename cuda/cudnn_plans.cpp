#include "cuda/cudnn_plans.h"
#include "core/error.h"

#include <algorithm>

namespace osprey::cuda {
namespace {

constexpr int64_t kMostKnobs = CUDNN_KNOB_TYPE_COUNTS, kMostNotes = CUDNN_NUMERICAL_NOTE_TYPE_COUNT;

Descriptor engine_of(const Descriptor& configuration) {
  auto engines = configuration.get(CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_BACKEND_ENGINE_DESCRIPTOR, 1);
  return engines.empty() ? Descriptor() : std::move(engines[0]);
}

std::string name_of(const Descriptor& configuration, const Descriptor& engine) {
  std::string name = fmt::format("engine {}", engine.get<int64_t>(CUDNN_ATTR_ENGINE_GLOBAL_INDEX));
  for (const Descriptor& knob :
       configuration.get(CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, kMostKnobs))
    name += fmt::format(" k{}={}", int(knob.get<cudnnBackendKnobType_t>(CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE)),
                        knob.get<int64_t>(CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE));
  return name;
}

bool keeps_promises(const Descriptor& engine, bool keep_f32) {
  for (cudnnBackendNumericalNote_t note :
       engine.get<cudnnBackendNumericalNote_t>(CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, kMostNotes))
    switch (note) {
      case CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC:
      case CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION:
      case CUDNN_NUMERICAL_NOTE_FFT:
      case CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_6x6:
      case CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13:
        return false;
      case CUDNN_NUMERICAL_NOTE_TENSOR_CORE:
      case CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS:
        if (keep_f32) return false;
        break;
      default:
        break;
    }
  return true;
}

// What one mode of the heuristics proposes; nothing if it refuses the graph.
std::vector<Descriptor> ask(const OperationGraph& graph, const Target& target, cudnnBackendHeurMode_t mode) {
  Descriptor heuristics(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
  heuristics.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph.graph).set(CUDNN_ATTR_ENGINEHEUR_MODE, mode);
  target.tell_description(heuristics, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP);
  if (heuristics.try_finalize() != CUDNN_STATUS_SUCCESS) return {};
  const int64_t count = heuristics.count(CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR);
  return heuristics.get(CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, count);
}

}  // namespace

std::vector<EngineConfiguration> propose_engines(const OperationGraph& graph, const Target& target,
                                                 bool keep_f32) {
  std::vector<EngineConfiguration> proposed;
  for (cudnnBackendHeurMode_t mode : {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK})
    for (Descriptor& configuration : ask(graph, target, mode)) {
      const Descriptor engine = engine_of(configuration);
      if (!engine || !keeps_promises(engine, keep_f32)) continue;
      const std::string name = name_of(configuration, engine);
      const auto same = [&](const EngineConfiguration& other) { return other.name == name; };
      if (std::none_of(proposed.begin(), proposed.end(), same))
        proposed.push_back({name, std::move(configuration), mode == CUDNN_HEUR_MODE_FALLBACK});
    }
  return proposed;
}

std::optional<Plan> make_plan(const EngineConfiguration& engine, const Target& target) {
  Plan made{Descriptor(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR)};
  target.tell(made.plan, CUDNN_ATTR_EXECUTION_PLAN_HANDLE);
  target.tell_description(made.plan, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP);
  made.plan.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, engine.configuration);
  if (made.plan.try_finalize() != CUDNN_STATUS_SUCCESS) return std::nullopt;
  made.workspace_bytes = size_t(made.plan.get<int64_t>(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE));
  return made;
}

}  // namespace osprey::cuda
