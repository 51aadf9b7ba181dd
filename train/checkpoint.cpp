#include "train/checkpoint.h"

#include <algorithm>
#include <charconv>

#include "core/error.h"
#include "models/safetensors.h"

namespace osprey {
namespace {

constexpr const char* kFormat = "osprey-checkpoint-1";
constexpr size_t kColumns = 6;

std::vector<int64_t> dims(Shape s) { return {s.n, s.h, s.w, s.c}; }

// Shortest text that reads back as the same number.
template <class T>
std::string exact(T value) {
  return fmt::format("{}", value);
}

template <class T>
T number(const SafeTensors& file, const std::string& path, const char* key) {
  const auto it = file.metadata.find(key);
  T value{};
  if (it == file.metadata.end() ||
      std::from_chars(it->second.data(), it->second.data() + it->second.size(), value).ec != std::errc())
    fail("{}: is not a checkpoint of this program: `{}` is missing", path, key);
  return value;
}

void restore(const SafeTensors& file, const std::string& path, const std::string& name, View<float> to) {
  const auto it = file.tensors.find(name);
  if (it == file.tensors.end()) fail("{}: has no `{}`: the checkpoint of another network", path, name);
  if (it->second.shape != dims(to.shape))
    fail("{}: `{}` has shape ({}), the network needs {}: the checkpoint of another network", path, name,
         fmt::join(it->second.shape, ","), to.shape.text());
  std::copy(it->second.values.begin(), it->second.values.end(), to.begin());
}

void restore(const SafeTensors& file, const std::string& path, const std::vector<ParameterSpan>& spans,
             int64_t iteration, Optimizer& optimizer) {
  const std::string ours = kRuleNames[int(optimizer.rule())];
  if (const auto it = file.metadata.find("optimizer"); it != file.metadata.end() && it->second != ours)
    fail("{}: is of a training with optimizer={}, and cannot go on with optimizer={}", path, it->second,
         ours);
  for (const auto& [name, values] : optimizer.state()) {
    if (name == "average" && !file.tensors.contains(spans[0].name + ".average")) {
      optimizer.begin_average(iteration + 1);
      continue;
    }
    for (const ParameterSpan& s : spans)
      if (s.info.role != Role::statistic)
        restore(file, path, s.name + "." + name, {values + s.offset, s.shape});
  }
  optimizer.upload();
}

}  // namespace

void save_checkpoint(const std::string& path, const Network& network, const TrainingState& state,
                     const Optimizer* optimizer) {
  SafeTensors file;
  const Parameters& p = network.parameters();
  p.download();
  for (const ParameterSpan& s : p.spans()) {
    file.tensors[s.name] = {dims(s.shape), p.values() + s.offset, {}};
    if (s.info.role != Role::statistic)
      file.tensors[s.name + ".momentum"] = {dims(s.shape), p.momentum() + s.offset, {}};
  }
  if (optimizer) {
    optimizer->download();
    for (const auto& [name, values] : optimizer->state())
      for (const ParameterSpan& s : p.spans())
        if (s.info.role != Role::statistic)
          file.tensors[s.name + "." + name] = {dims(s.shape), values + s.offset, {}};
  }
  std::vector<float> history;
  for (const HistoryPoint& h : state.history)
    history.insert(history.end(),
                   {float(h.iteration), h.loss, h.average_loss, h.rate, h.score, h.validation_loss});
  file.tensors["history"] = {{int64_t(state.history.size()), int64_t(kColumns)}, history.data(), {}};
  file.metadata = {{"format", kFormat},
                   {"iteration", exact(state.iteration)},
                   {"seed", exact(state.seed)},
                   {"average_loss", exact(state.average_loss)},
                   {"best_map", exact(state.best_score)}};
  if (optimizer) file.metadata["optimizer"] = kRuleNames[int(optimizer->rule())];
  write_safetensors(path, file);
}

namespace {

TrainingState state_of(const SafeTensors& file, const std::string& path) {
  const auto format = file.metadata.find("format");
  if (format == file.metadata.end() || format->second != kFormat)
    fail("{}: is not a checkpoint of this program (expected format {})", path, kFormat);
  TrainingState state;
  state.iteration = number<int64_t>(file, path, "iteration");
  state.seed = number<uint64_t>(file, path, "seed");
  state.average_loss = number<double>(file, path, "average_loss");
  state.best_score = number<float>(file, path, "best_map");
  if (const auto it = file.tensors.find("history"); it != file.tensors.end())
    for (size_t i = 0, columns = size_t(it->second.shape.back()); i + columns <= it->second.values.size();
         i += columns) {
      const float* v = it->second.values.data() + i;
      if (columns < 5) fail("{}: `history` has {} columns, expected {}", path, columns, kColumns);
      // The last column came later.
      state.history.push_back({int64_t(v[0]), v[1], v[2], v[3], v[4], columns > 5 ? v[5] : -1});
    }
  return state;
}

}  // namespace

TrainingState load_checkpoint(const std::string& path, Network& network, Optimizer* optimizer) {
  const SafeTensors file = read_safetensors(path);
  const TrainingState state = state_of(file, path);
  Parameters& p = network.parameters();
  for (const ParameterSpan& s : p.spans()) {
    restore(file, path, s.name, p.value(s));
    if (s.info.role != Role::statistic)
      restore(file, path, s.name + ".momentum", {p.momentum() + s.offset, s.shape});
  }
  p.upload();
  if (optimizer) restore(file, path, p.spans(), state.iteration, *optimizer);
  return state;
}

TrainingState read_training_state(const std::string& path) { return state_of(read_safetensors(path), path); }

}  // namespace osprey
