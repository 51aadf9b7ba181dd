// Convolution on the CPU in NHWC, in f32 or with products of bf16 that are added in f32: forward, with what
// follows each sum done while it is in a register, and the two gradients. Each direction is computed by the
// algorithm that suits its shape. Built once per shape.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/activations.h"
#include "core/convolution_algorithm.h"
#include "core/tensor.h"
#include "core/window.h"
#include "cuda/convolution.h"
#include "layers/convolution_chain.h"
#include "layers/convolution_onednn.h"
#include "layers/filter_weights.h"
#include "layers/simd/epilogue.h"
#include "layers/simd/group_product.h"
#include "layers/simd/winograd.h"

namespace osprey {

// One direction, of products with packed weights: the forward pass or the gradient of the input.
class ConvolutionDirection {
 public:
  virtual ~ConvolutionDirection() = default;
  virtual int64_t packed_size() const = 0;  // in floats
  virtual void pack(const FilterWeights&, float* packed) const = 0;
  virtual void run(const void* in, const float* packed, const simd::Epilogue&, void* out) const = 0;
  virtual const ConvolutionRows* rows() const { return nullptr; }  // itself, if it can be computed row by row
};

class CpuConvolution {
 public:
  struct Options {
    bool training = true;
    bool needs_dx = true;
    bool bias = false;
    bool factors = false;  // one for each channel; the bias is added to the products
    Activation activation = Activation::linear;
    bool residual = false;                                // only where it never trains, and without factors
    Activation residual_activation = Activation::linear;  // after the addition
    ConvolutionAlgorithm algorithm = ConvolutionAlgorithm::automatic;
    // The largest value in each of these windows is all that is made of the output; only where pools() says
    // so, and without a residual.
    std::optional<Window2> pool;
    bool bf16_products = false;  // factors may be rounded to bf16; simd::has_bf16_products() must allow it
    Type x_type = Type::f32, y_type = Type::f32;  // bf16 only with bf16_products, in one group, by our own
  };

  // y: before the pool, with the pitch of what comes out of it.
  CpuConvolution(PitchedShape x, PitchedShape y, Convolution, Options);
  ~CpuConvolution();

  // The weights are packed as the algorithm wants them. Sizes in floats of the memory the caller provides:
  int packed_size() const;   // one copy of the weights, for forward
  int scratch_size() const;  // for any one call
  void pack(const FilterWeights&, View<float> packed);

  // y = residual_activation(activation(factors * (x * weights) + bias) + residual); factors, bias and
  // residual as the options say.
  struct Epilogue {
    View<const float> bias, factors;
    Tensor residual;
  };
  void forward(Tensor x, View<float> packed, const Epilogue&, Tensor y, View<float> scratch);
  // What forward does, as a link of a chain, of kind() other than none.
  ChainedLayer::Kind kind() const;
  ChainLink link(View<const float> packed, const Epilogue&) const;
  void backward_data(Tensor dy, View<const float> weights, Tensor dx, bool add, View<float> scratch);
  // Adds to dweights.
  void backward_weights(Tensor x, Tensor dy, View<float> dweights, View<float> scratch);

  // Whether it could make no more of its output than the largest values in these windows.
  bool pools(const Window2&) const;
  // Whether x could be a slice of a tensor's channels, and whether y could, if there is no residual.
  bool reads_slice() const;
  bool makes_slice() const;

  // "winograd4", or in training one for each direction: "winograd4, direct, onednn".
  std::string algorithms() const;

 private:
  enum class Pass { forward, data, weights };
  // An algorithm, whether its factors are rounded to bf16, and whether winograd4 transforms weights as they
  // are used.
  struct Form {
    ConvolutionAlgorithm algorithm = ConvolutionAlgorithm::onednn;
    bool rounds = false, late = false;

    std::string name() const;
  };
  struct Choice {
    Form form;
    std::unique_ptr<ConvolutionDirection> direction;  // null: all directions are oneDNN's
  };
  std::unique_ptr<ConvolutionDirection> make(Form, bool backward) const;
  simd::Winograd winograd(Form, bool backward) const;  // of a form by his algorithm
  bool pools(Form, const Window2&) const;
  bool fits_strided() const;  // Winograd's algorithm, with stride 2
  std::vector<Form> candidates(Pass) const;
  Form choose(Pass) const;
  Choice direction(Pass) const;
  void add_weight_gradient(Form, Tensor x, Tensor dy, View<float> dweights) const;
  simd::Epilogue for_loops(const Epilogue&) const;

  PitchedShape x_, y_;
  Convolution convolution_;
  Options options_;
  Choice forward_, data_;
  Form weights_;
  std::unique_ptr<simd::GroupProduct> narrow_;  // makes the gradient of the weights, where groups are narrow
  std::unique_ptr<OneDnnConvolution> onednn_;   // all directions, where forward is not ours; else null
  bool onednn_finishes_ = false;                // it has the activations, and adds the residual
};

}  // namespace osprey
