// Convolution by NVIDIA's libraries: the same sums as cuda/convolution.h, on the tensor cores of a real GPU.
// The plain kernels remain the specification, and run wherever no library does.
//
// All that takes time happens while an object is made: the library is asked for its kernels, a few of them
// are timed, the fastest is kept (core/autotune.h). Its functions only start work, so they may be captured in
// a graph.
#pragma once

#include <memory>

#include "core/activations.h"
#include "core/stream.h"
#include "core/tensor.h"
#include "cuda/convolution.h"

namespace osprey::cuda {

struct ConvolutionProblem {
  Shape x;
  int filters = 0;
  Convolution convolution;
  Type input_type = Type::f32;   // of x and weights, f32 or bf16; sums are always in f32
  Type output_type = Type::f32;  // of y and residual; dy and dx have the input's
  bool allow_tf32 = false;       // f32 products may be rounded to 10 bits of mantissa
  bool training = false;         // backward_weights will be called
  bool needs_dx = false;         // backward_data will be called
  // What follows the sums, in the same kernel where the library can:
  //   y = residual_activation(activation(conv(x) + bias) + residual)
  bool bias = false;
  Activation activation = Activation::linear;
  bool residual = false;
  Activation residual_activation = Activation::linear;

  Shape y() const { return convolution.output(x, filters); }
  Shape weights() const { return convolution.weights(x, filters); }
  std::string text() const;  // "convolution 3x3 stride 2 of 1x32x32x3 by 16 filters, bf16"
};

// x {n,h,w,c}, y and dy {n,oh,ow,filters}, weights {filters,size_h,size_w,c/groups}, bias {1,1,1,filters},
// all contiguous. `workspace` is device memory of workspace_bytes(), whose contents mean nothing between
// calls; tensors, bias too, start at multiples of 16 bytes. One object serves one stream at a time.
class FastConvolution {
 public:
  virtual ~FastConvolution() = default;
  virtual size_t workspace_bytes() const = 0;
  // y is overwritten. bias and residual (shape and type of y) are empty where the problem has none.
  virtual void forward(Stream&, Tensor x, Tensor weights, View<const float> bias, Tensor residual, Tensor y,
                       void* workspace) = 0;
  // dx += or, without `add`, dx = the gradient. dy is the gradient of the sums.
  virtual void backward_data(Stream&, Tensor dy, Tensor weights, Tensor dx, bool add, void* workspace) = 0;
  // dweights += the gradient, in f32 for every type of x.
  virtual void backward_weights(Stream&, Tensor x, Tensor dy, View<float> dweights, void* workspace) = 0;
};

// Null where no library does it (the emulation, no cuDNN, a shape that it refuses): then the plain kernels
// run. If that is because a library was not found, a warning says so, once.
std::unique_ptr<FastConvolution> make_fast_convolution(const ConvolutionProblem&);

// The same for [connected], which is a 1x1 convolution of images of one pixel, {n,1,1,inputs}: cuBLASLt
// alone.
std::unique_ptr<FastConvolution> make_fast_gemm(const ConvolutionProblem&);

}  // namespace osprey::cuda
