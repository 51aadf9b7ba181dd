// What every layer test needs: one layer made from cfg text, planned, run on either device, and checked.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "layers/layer.h"

namespace osprey {

using Values = std::vector<float>;

// Plays the network's part for one layer: it owns all memory and hands out views.
class SingleLayer {
 public:
  // `network` is the input of the network around it, for layers that ask.
  SingleLayer(const std::string& cfg, std::vector<Shape> inputs, Device device = Device::cpu,
              bool training = true, Shape network = {1, 32, 32, 3}, Type precision = Type::f32);
  ~SingleLayer();
  SingleLayer(const SingleLayer&) = delete;
  SingleLayer& operator=(const SingleLayer&) = delete;

  Values forward(const std::vector<Values>& x);
  Values forward(const Values& x) { return forward(std::vector<Values>{x}); }
  // dx starts with these values (zeros if not given), and the layer is asked to add to them.
  std::vector<Values> backward(const Values& dy, const std::vector<Values>& dx_before = {});
  Values gradient(const Values& dy) { return backward(dy)[0]; }  // of the only input
  // The same with Write::overwrite and garbage in dx; only for layers that promised obeys_writes().
  std::vector<Values> backward_overwriting(const Values& dy);

  Shape input(int k = 0) const { return inputs_[k]; }
  Shape output() const { return output_; }
  bool obeys_writes() const { return obeys_writes_; }
  Layer& layer() { return *layer_; }

  // By the names that the layer gave them.
  Values& parameter(const std::string& name) { return parameters_.at(name); }
  Values& parameter_gradient(const std::string& name) { return gradients_.at(name); }
  std::map<std::string, Values>& parameters() { return parameters_; }
  const std::map<std::string, Values>& gradients() const { return gradients_; }  // a statistic has none
  // For heads and losses; read by forward, but for the last, which it writes.
  Values truths;  // [N, 1, capacity, 5]
  std::vector<int> truth_counts;
  int truth_capacity() const { return truth_capacity_; }
  Values targets;
  Step step;
  LossReport report_before;  // what forward adds to
  LossReport report;

 private:
  // A tensor in the layer's device memory, which the tests only reach by copies, and in its type.
  Tensor allocate(Shape shape, Type type);
  void put(const Tensor& to, const Values& values);
  Values get(const Tensor& from);
  void put_bytes(void* to, const void* from, size_t bytes);
  void get_bytes(void* to, const void* from, size_t bytes);
  std::vector<Values> gradients_of_inputs();
  void backward_once(const Values& dy, const std::vector<Values>& dx_before, Write write);

  std::vector<Section> sections_;
  std::unique_ptr<Layer> layer_;
  Stream stream_;
  std::vector<Shape> inputs_;
  bool training_;
  Shape output_;
  Type output_type_ = Type::f32;
  bool obeys_writes_ = false;
  int truth_capacity_ = 0;
  std::vector<Type> input_types_;
  std::vector<void*> memory_;
  struct Parameter {
    std::string name;
    Tensor value, gradient, copy;
  };
  std::vector<Parameter> on_device_;
  Truths truths_;
  Tensor targets_;
  Step* step_ = nullptr;
  LossReport* report_ = nullptr;
  std::map<std::string, Values> parameters_, gradients_;
};

// Values all at least 0.1 apart, in random order: no small step changes which one is largest.
Values well_separated(Shape, uint64_t seed = 1);
Values random_values(Shape, uint64_t seed = 1);  // U(-1, 1)

struct Tolerance {
  float relative = 0, absolute = 0;
};
constexpr Tolerance kExact = {0, 0};

void expect_equal(const Values& got, const Values& want, Tolerance = kExact);

// The emulated kernels against the CPU, forward and backward, in all three orders of the emulation's threads,
// on coarse values (so that ties happen) and with gradients that start non-zero. All orders give equal bits.
void expect_parity(const std::string& cfg, std::vector<Shape> inputs, Tolerance = kExact);

// Few pixels, and channels that do and do not come in packs.
constexpr Shape kAwkwardShapes[] = {{1, 1, 1, 1},  {1, 1, 3, 3},  {1, 5, 1, 7},  {2, 1, 2, 8},
                                    {2, 2, 2, 16}, {1, 2, 2, 33}, {1, 1, 2, 255}};

// The same with the kernels' activations in bf16, whose eight bits of precision the inputs fit; and so on the
// CPU, where it can and the layer does.
constexpr Tolerance kOneRounding = {0x1p-8f, 1e-6f};  // of a result worked out in float, in another order
void expect_parity_in_bf16(const std::string& cfg, std::vector<Shape> inputs, Tolerance = kOneRounding);

// The gradients of every input and parameter against central differences. The loss is the dot product of y
// with fixed random numbers, summed in double. `step` and tolerance are Caffe's (1e-2, 1e-3 of the larger of
// 1 and the gradient): float forward passes leave about 1e-7 / 1e-2 of noise, curvature about step squared.
constexpr float kGradientStep = 1e-2f;
constexpr Tolerance kGradientTolerance = {1e-3f, 1e-3f};
void expect_gradient(const std::string& cfg, std::vector<Shape> inputs, const std::vector<Values>& x,
                     float step = kGradientStep, Tolerance = kGradientTolerance, Device = Device::cpu);
void expect_gradient(const std::string& cfg, Shape input, uint64_t seed = 3);
// By the CPU and by the kernels, in forward and backward.
void expect_gradient_on_both(const std::string& cfg, std::vector<Shape> inputs, const std::vector<Values>& x);
void expect_gradient_on_both(const std::string& cfg, Shape input);

// The message that the layer's section causes contains `message`.
void expect_error(const std::string& cfg, const std::string& message,
                  std::vector<Shape> inputs = {{1, 8, 8, 4}});

}  // namespace osprey
