// All parameters of a network in one flat buffer, with a table of named spans: the optimizer is one pass over
// it, a checkpoint one write.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "layers/layer.h"
#include "models/device_buffer.h"

namespace osprey {

struct ParameterSpan {
  std::string name;  // "12.weights": layer index and what the layer calls it
  int layer;
  Shape shape;
  Shape layer_input;  // for FileOrder::flattened_input
  ParameterInfo info;
  size_t offset;   // in floats, in each of the buffers
  float rate = 1;  // factor of the learning rate; 0 for a frozen layer

  int64_t of_output() const { return shape.elements() / shape.n; }
  // What products pack (Plan::packed).
  bool packs() const { return info.order != FileOrder::plain; }
};

// Writes a span's values to `to`: of the outputs [first, last), of shape.n. Several threads ask.
using ReadParameter = std::function<void(const ParameterSpan&, int first, int last, float* to)>;

class Parameters {
 public:
  // Spans are added in file order, and allocated together on the stream's device: values, and for training
  // gradients and momentum; under bf16 also a copy of the values in that type.
  void add(ParameterSpan span);
  // From the next layer on, each has its values where those of the others are: one at a time is there.
  void take_turns() { turns_ = true; }
  void allocate(bool training, const Stream& stream = {}, Type precision = Type::f32);

  const std::vector<ParameterSpan>& spans() const { return spans_; }
  std::vector<ParameterSpan>& spans() { return spans_; }
  std::span<const ParameterSpan> spans_of(int first_layer, int last_layer) const;  // with the last
  size_t size() const { return size_; }  // floats, with the gaps that align spans
  int64_t count() const;                 // numbers in a .weights file
  int64_t trained_count() const;         // without statistics: what others call a network's parameters

  // The host's side: on another device than the CPU, download() before reading, upload() after writing.
  float* values() const { return reinterpret_cast<float*>(values_.host()); }
  float* gradients() const { return reinterpret_cast<float*>(gradients_.host()); }  // null if it never trains
  float* momentum() const { return reinterpret_cast<float*>(momentum_.host()); }    // null if it never trains
  View<float> value(const ParameterSpan& s) const { return {values() + s.offset, s.shape}; }
  View<float> gradient(const ParameterSpan& s) const { return {gradients() + s.offset, s.shape}; }
  void download() const;  // values and momentum
  void download_gradients() const { gradients_.download(); }
  void upload_gradients() { gradients_.upload(); }
  void take_values(const Parameters& other);  // of the same network, on the same device
  void upload();  // values and momentum; makes the copy in the network's precision anew

  // The device's side, for layers and optimizers.
  View<float> device_value(const ParameterSpan& s) const { return {device_values() + s.offset, s.shape}; }
  View<float> device_gradient(const ParameterSpan& s) const {
    return {device_gradients() + s.offset, s.shape};
  }
  Tensor device_copy(const ParameterSpan& s) const;  // in the network's precision
  float* device_values() const { return reinterpret_cast<float*>(values_.device()); }
  float* device_gradients() const { return reinterpret_cast<float*>(gradients_.device()); }
  float* device_momentum() const { return reinterpret_cast<float*>(momentum_.device()); }
  Tensor device_copy() const;  // of all values; empty under f32

  // Darknet's distributions, from counter-based numbers: the same for any order and number of threads.
  void initialise(uint64_t seed);
  // The same as a ReadParameter, of one of spans().
  void read_initial(const ParameterSpan&, uint64_t seed, int first, int last, float* to) const;
  void read_all(const ParameterSpan&, const ReadParameter&);  // on the host's side
  // The memory of these layers' values is the system's again; they are zero from then on. On the CPU only.
  void give_back(int first_layer, int last_layer);
  void zero_gradients();  // on the device, in the order of its stream

 private:
  void refresh_copy();

  std::vector<ParameterSpan> spans_;
  bool turns_ = false;
  size_t end_ = 0, size_ = 0;  // of the last span; of the buffer
  Stream stream_;
  Type precision_ = Type::f32;
  DeviceBuffer values_{"the parameters"}, copy_{"the parameters' copy in bf16"},
      gradients_{"the gradients of the parameters"}, momentum_{"the optimizer's state"};
};

}  // namespace osprey
