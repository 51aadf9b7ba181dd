// Convolution on the CPU by oneDNN, in NHWC: forward, with what follows each sum done while it is in a
// register, and the two gradients. Built once per shape; a call allocates nothing.
#pragma once

#include <memory>

#include "core/activations.h"
#include "core/stream.h"
#include "core/tensor.h"
#include "cuda/convolution.h"

namespace osprey {

class OneDnnConvolution {
 public:
  struct Options {
    bool training = true;
    bool needs_dx = true;
    bool bias = false;
    bool factors = false;  // one for each channel; the bias is added to the products
    // One that oneDNN does not have is left to the caller: see folds().
    Activation activation = Activation::linear;
    bool residual = false;                                // only where it never trains, and without factors
    Activation residual_activation = Activation::linear;  // after the addition
  };

  OneDnnConvolution(Shape x, Shape y, Convolution, Options);
  ~OneDnnConvolution();

  static bool folds(Activation);
  static bool built();  // or the constructor is an Error

  // oneDNN orders weights in blocks of its own. Sizes in floats of the memory the caller provides:
  int packed_size() const;   // one copy of the weights, for forward
  int scratch_size() const;  // for any one call
  void pack(View<const float> weights, View<float> packed);

  // y = residual_activation(activation(factors * (x * weights) + bias) + residual); factors, bias and
  // residual as the options say.
  struct Epilogue {
    View<const float> bias, factors, residual;
  };
  void forward(View<const float> x, View<float> packed, const Epilogue&, View<float> y, View<float> scratch);
  void backward_data(View<const float> dy, View<const float> weights, View<float> dx, bool add,
                     View<float> scratch);
  // Adds to dweights.
  void backward_weights(View<const float> x, View<const float> dy, View<float> dweights, View<float> scratch);

 private:
  struct Primitives;
  std::unique_ptr<Primitives> p_;
};

}  // namespace osprey
