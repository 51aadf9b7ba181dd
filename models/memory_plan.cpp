#include "models/memory_plan.h"

#include <algorithm>

#include "core/error.h"

namespace osprey {
namespace {

size_t output_bytes(const LayerMemory& layer) {
  return size_t(layer.output.elements()) * bytes_of(layer.type);
}

class Planner {
 public:
  Planner(const std::vector<LayerMemory>& layers, Tensor input, bool training, bool keep_all)
      : layers_(layers), input_(input), training_(training), keep_all_(keep_all), n_(int(layers.size())) {}

  MemoryPlan run() {
    find_readers();
    place_outputs();
    if (training_) place_gradients();
    place_extras();
    lay_out_all();
    return std::move(plan_);
  }

 private:
  int backward_step(int layer) const { return 2 * n_ - 1 - layer; }
  int end() const { return training_ ? 2 * n_ : n_; }

  int add(std::string what, size_t bytes, int first, int last) {
    plan_.buffers.push_back({std::move(what), {bytes, first, last}, 0});
    return int(plan_.buffers.size()) - 1;
  }

  // For each layer's output (and, at index n, the network's input): when it is read for the last time.
  void find_readers() {
    last_read_.resize(n_ + 1);
    last_forward_read_.resize(n_ + 1);
    read_by_backward_.assign(n_ + 1, false);
    for (int i = 0; i <= n_; ++i) last_read_[i] = last_forward_read_[i] = i == n_ ? 0 : i;
    auto read = [&](int tensor, int step) {
      last_read_[tensor] = std::max(last_read_[tensor], step);
      if (step < n_) last_forward_read_[tensor] = std::max(last_forward_read_[tensor], step);
    };
    for (int i = 0; i < n_; ++i) {
      const LayerMemory& layer = layers_[i];
      for (int from : layer.inputs) read(from < 0 ? n_ : from, i);
      if (layer.is_head || keep_all_) read(i, end());
      if (!training_ || !layer.differentiable) continue;
      for (int k : layer.backward_reads) {
        const int tensor = layer.inputs[k] < 0 ? n_ : layer.inputs[k];
        read(tensor, backward_step(i));
        read_by_backward_[tensor] = true;
      }
      if (layer.backward_reads_output) {
        read(i, backward_step(i));
        read_by_backward_[i] = true;
      }
    }
  }

  void place_outputs() {
    plan_.input = add("input", input_.bytes(), 0, last_read_[n_]);
    plan_.outputs.assign(n_, -1);
    plan_.output_offsets.assign(n_, 0);
    for (int i = 0; i < n_; ++i) {
      place_output(i, i);
      Lifetime& life = plan_.buffers[plan_.outputs[i]].life;
      life.last = std::max(life.last, last_read_[i]);
      tensors_in_.resize(plan_.buffers.size());
      tensors_in_[plan_.outputs[i]].push_back(i);
    }
  }

  // Of a layer that first a part of is made, at this step, which may be before its own.
  void place_output(int i, int step) {
    if (plan_.outputs[i] >= 0) return;
    const LayerMemory& layer = layers_[i];
    int within = layer.slice_of;
    if (within >= 0) place_output(within, step);
    const bool equal = within < 0 && equals_input(i);
    if (equal) within = layer.inputs[layer.alias];
    if (within >= 0) {
      plan_.outputs[i] = plan_.outputs[within];
      plan_.output_offsets[i] = plan_.output_offsets[within] + (equal ? 0 : layer.slice_at);
      return;
    }
    plan_.outputs[i] = buffer_to_overwrite(i);
    if (plan_.outputs[i] < 0)
      plan_.outputs[i] = add(fmt::format("output of {}", i), output_bytes(layer), step, last_read_[i]);
  }

  bool equals_input(int i) const {
    const LayerMemory& layer = layers_[i];
    return layer.alias >= 0 && layer.inputs[layer.alias] >= 0 && !keep_all_;
  }

  // The buffer of an input that the output of a layer may take, or -1.
  int buffer_to_overwrite(int i) const {
    const LayerMemory& layer = layers_[i];
    if (layer.in_place < 0 || keep_all_ || layer.inputs[layer.in_place] < 0) return -1;
    const LayerMemory& input = layers_[layer.inputs[layer.in_place]];
    if (layer.output != input.output || layer.type != input.type) return -1;
    const int buffer = plan_.outputs[layer.inputs[layer.in_place]];
    if (plan_.buffers[buffer].life.bytes != output_bytes(layer)) return -1;  // the input is a slice
    // Written over only if nobody reads what was there: neither a later layer nor a backward call.
    for (int tensor : tensors_in_[buffer])
      if (last_forward_read_[tensor] > i || read_by_backward_[tensor] || layers_[tensor].is_head) return -1;
    return buffer;
  }

  // A gradient lives from the backward call of its last reader, which writes it first, to that of its owner.
  void place_gradients() {
    plan_.gradients.assign(n_, -1);
    plan_.first_writer.resize(n_);
    for (int j = n_ - 1; j >= 0; --j) {
      const LayerMemory& layer = layers_[j];
      plan_.first_writer[j].assign(layer.inputs.size(), false);
      if (!layer.differentiable) continue;
      for (size_t k = 0; k < layer.inputs.size(); ++k) {
        const int i = layer.inputs[k];
        if (i < 0 || !layers_[i].differentiable || plan_.gradients[i] >= 0) continue;
        const bool lasting = layers_[i].lasting_gradient;
        plan_.gradients[i] = add(fmt::format("gradient of {}", i), output_bytes(layers_[i]),
                                 lasting ? 0 : backward_step(j), lasting ? end() : backward_step(i));
        plan_.first_writer[j][k] = !lasting;
      }
    }
  }

  void place_extras() {
    plan_.kept.resize(n_);
    size_t scratch = 0;
    for (int i = 0; i < n_; ++i) {
      for (size_t bytes : layers_[i].kept)
        plan_.kept[i].push_back(add(fmt::format("kept by {}", i), bytes, i, backward_step(i)));
      scratch = std::max(scratch, layers_[i].scratch);
    }
    if (scratch) plan_.scratch = add("scratch", scratch, 0, end());
  }

  void lay_out_all() {
    std::vector<Lifetime> lives;
    for (const MemoryPlan::Buffer& b : plan_.buffers) lives.push_back(b.life);
    const Layout layout = lay_out(lives);
    for (size_t i = 0; i < lives.size(); ++i) {
      plan_.buffers[i].offset = layout.offsets[i];
      plan_.without_sharing += lives[i].bytes;
    }
    plan_.bytes = layout.bytes;
    plan_.peak = peak_bytes(lives);
  }

  const std::vector<LayerMemory>& layers_;
  Tensor input_;
  bool training_, keep_all_;
  int n_;
  std::vector<int> last_read_, last_forward_read_;
  std::vector<bool> read_by_backward_;
  std::vector<std::vector<int>> tensors_in_;  // by buffer: the layers whose outputs lie in it
  MemoryPlan plan_;
};

}  // namespace

MemoryPlan plan_memory(const std::vector<LayerMemory>& layers, Tensor input, bool training, bool keep_all) {
  return Planner(layers, input, training, keep_all).run();
}

}  // namespace osprey
