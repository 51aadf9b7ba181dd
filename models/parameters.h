// All parameters of a network in one flat buffer, with a table of named spans: the optimizer is one pass over
// it, a checkpoint one write.
#pragma once

#include <string>
#include <vector>

#include "core/arena.h"
#include "layers/layer.h"

namespace osprey {

struct ParameterSpan {
  std::string name;  // "12.weights": layer index and what the layer calls it
  int layer;
  Shape shape;
  Shape layer_input;  // for FileOrder::flattened_input
  ParameterInfo info;
  size_t offset;   // in floats, in each of the buffers
  float rate = 1;  // factor of the learning rate; 0 for a frozen layer
};

class Parameters {
 public:
  // Spans are added in file order, and allocated together.
  void add(ParameterSpan span);
  void allocate(bool training);

  const std::vector<ParameterSpan>& spans() const { return spans_; }
  std::vector<ParameterSpan>& spans() { return spans_; }
  size_t size() const { return size_; }  // floats, with the gaps that align spans
  int64_t count() const;                 // numbers in a .weights file

  float* values() const { return reinterpret_cast<float*>(values_.data()); }
  float* gradients() const { return reinterpret_cast<float*>(gradients_.data()); }  // null if it never trains
  float* momentum() const { return reinterpret_cast<float*>(momentum_.data()); }    // null if it never trains

  View<float> value(const ParameterSpan& s) const { return {values() + s.offset, s.shape}; }
  View<float> gradient(const ParameterSpan& s) const { return {gradients() + s.offset, s.shape}; }

  // Darknet's distributions, from counter-based numbers: the same for any order and number of threads.
  void initialise(uint64_t seed);
  void zero_gradients();

 private:
  std::vector<ParameterSpan> spans_;
  size_t size_ = 0;
  Arena values_{"the parameters"}, gradients_{"the gradients of the parameters"},
      momentum_{"the optimizer's state"};
};

}  // namespace osprey
