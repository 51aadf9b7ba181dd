// From an operation graph to a kernel: cuDNN's heuristics propose engines, those that break a promise of ours
// are dropped, and each of the rest can be made into a plan. For cuda/cudnn_*.cpp alone.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cuda/cudnn_graphs.h"

namespace osprey::cuda {

struct EngineConfiguration {
  std::string name;  // "engine 38 k2=5 k24=18": the engine and its knobs, the same for one version of cuDNN
  Descriptor configuration;
  bool fallback = false;  // it does everything, and is seldom fast
};

// Best first, by cuDNN's own estimate; each once. Without those that add in an order that changes from run to
// run (NONDETERMINISTIC), round on the way (REDUCED_PRECISION_REDUCTION, large Winograd tiles, FFT), and,
// unless `tensor_cores` for f32 is allowed, round f32 to TF32. Empty if cuDNN has none for the graph.
std::vector<EngineConfiguration> propose_engines(const OperationGraph&, const Target&, bool keep_f32);

struct Plan {
  Descriptor plan;
  size_t workspace_bytes = 0;
};

// Nothing if the engine finds, on closer look, that it cannot.
std::optional<Plan> make_plan(const EngineConfiguration&, const Target&);

}  // namespace osprey::cuda
