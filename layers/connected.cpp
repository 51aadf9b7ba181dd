// [connected]: every output sees every input, [N,H,W,C] -> [N,1,1,outputs].
//
//   z = x W^T        y = activation(batchnorm(z))   or   y = activation(z + biases)
//
// In memory a row of W lies as the input does (h, w, c); in Darknet's file as c, h, w, and before the arrays
// of batch norm (FileOrder::flattened_input). On a GPU it is a convolution of images of one pixel, and so it
// is on the CPU in inference with products of bf16, whose packed weights are half as much to read.

#include "core/parallel.h"
#include "cuda/batchnorm.h"
#include "cuda/convolution.h"
#include "layers/batchnorm_parameters.h"
#include "layers/convolution_cpu.h"
#include "layers/convolution_device.h"
#include "layers/fold.h"
#include "layers/initial_weights.h"
#include "layers/layer.h"
#include "layers/onnx_graph.h"
#include "layers/output_activation.h"
#include "layers/simd/gemm.h"

namespace osprey {
namespace cpu {
namespace {

// z = x W^T, plus the biases if there are any.
void connected_forward(Stream&, View<const float> x, View<const float> weights, View<const float> biases,
                       View<float> z) {
  const int n = z.shape.n, outputs = z.shape.c, ins = x.size() / n;
  if (biases)
    for (int row = 0; row < n; ++row) std::copy(biases.begin(), biases.end(), &z[row * outputs]);
  gemm(Transpose::no, Transpose::yes, n, outputs, ins, x.data, ins, weights.data, ins, bool(biases), z.data,
       outputs);
}

// dW += dz^T x
void connected_backward_weights(Stream&, View<const float> x, View<const float> dz, View<float> dweights) {
  const int n = dz.shape.n, outputs = dz.shape.c, ins = x.size() / n;
  gemm(Transpose::yes, Transpose::no, outputs, ins, n, dz.data, outputs, x.data, ins, true, dweights.data,
       ins);
}

// dx = dz W, or added to dx.
void connected_backward_input(Stream&, View<const float> dz, View<const float> weights, View<float> dx,
                              Write write) {
  const int n = dz.shape.n, outputs = dz.shape.c, ins = dx.size() / n;
  gemm(Transpose::no, Transpose::no, n, ins, outputs, dz.data, outputs, weights.data, ins,
       write == Write::add, dx.data, ins);
}

}  // namespace
}  // namespace cpu

class Connected final : public Layer, public OnnxLayer {
 public:
  void keys(Keys& k) override {
    k.integer("output", outputs_, 1).at_least(1).help("outputs");
    activation_.keys(k, Activation::logistic);
    k.flag("batch_normalize", batch_normalize_, false)
        .help("normalise over the mini-batch, instead of a bias only");
    frozen_key(k, frozen_);
    initial_.keys(k);
  }

  void plan(Plan& p) override {
    const Shape in = p.input(), out{in.n, 1, 1, outputs_}, channels{1, 1, 1, outputs_};
    p.output(out, p.wanted_type());
    p.require(batch_normalize_ || !frozen_, "frozen",
              "frozen=1 is about batch norm: it needs batch_normalize=1");
    p.require(!batch_normalize_ || !across_channels(activation_.kind), "activation",
              "this activation does not go with batch_normalize=1 here: put it into an [activation] behind");
    norm_.frozen = batch_normalize_ && (frozen_ || p.options().frozen);
    const double ins = double(in.h) * in.w * in.c;
    flops_ = 2 * ins * outputs_ * p.items_per_image();
    declare_bias(p, norm_, channels, initial_.bias());
    ParameterInfo info{.name = "weights", .order = FileOrder::flattened_input};
    initial_.set(info, {outputs_, 1, 1, in.h * in.w * in.c});
    p.parameter(weights_, weight_gradients_, {outputs_, in.h, in.w, in.c}, info,
                p.on_gpu() ? &weights_copy_ : nullptr);
    training_ = p.training();
    if (batch_normalize_)
      plan_batchnorm(p, out);
    else
      activation_.plan(p);
    p.backward_reads_input();
    p.obeys_writes();
    if (p.on_gpu()) plan_device(p);
    if (!p.on_gpu() && !training_ && p.options().bf16_products) plan_packed(p, out);
    if (p.on_gpu() && training_ && !batch_normalize_) p.scratch(norm_.partial, bias_partial(out));
  }

  void prepare(Stream& s, const ReadFilters& read) override {
    if (cpu_) fold_and_pack(s, weights_, read, norm_, *cpu_, packed_, folded_biases_);
  }

  void forward(Stream& s) override {
    if (cpu_) {
      cpu_->forward(one_pixel(x()), packed_, {folded_biases_, {}, {}}, activation_.target(y), scratch_);
      if (!fused_activation_) activation_.forward(s, y);
      return;
    }
    if (!batch_normalize_) {
      multiply(s, norm_.bias, activation_.target(y));
      if (!fused_activation_) activation_.forward(s, y);
      return;
    }
    const Tensor z = z_ ? z_ : y;
    multiply(s, {}, z);
    if (training_)
      on(s, cpu::batchnorm_forward_training, cuda::batchnorm_forward_training)(s, z, y, norm_);
    else
      on(s, cpu::batchnorm_forward_inference, cuda::batchnorm_forward_inference)(s, z, y, norm_);
  }

  void backward(Stream& s) override {
    const Tensor dz = dy;  // the gradient of z is written over that of y
    if (batch_normalize_)
      on(s, cpu::batchnorm_backward, cuda::batchnorm_backward)(s, z_, dz, dz, norm_);
    else
      activation_.backward(s, y, dz);
    if (!batch_normalize_)
      on(s, cpu::bias_backward, cuda::bias_backward)(s, dz, norm_.bias_gradient, norm_.partial);
    if (device_)
      return device_->backward(s, one_pixel(x()), weights(), dz, weight_gradients_, one_pixel(dx()),
                               dx() ? writes() : Write::add);
    cpu::connected_backward_weights(s, x(), dz, weight_gradients_);
    if (dx()) cpu::connected_backward_input(s, dz, weights_, dx(), writes());
  }

  bool converts() const override { return true; }

  LayerSummary summary() const override { return {outputs_, "", flops_}; }

  std::string to_onnx(OnnxGraph& g) const override {
    OnnxGraph::Names inputs = folded_to_onnx(g, weights_, norm_, true);
    inputs.insert(inputs.begin(), g.reshaped(g.x(), {0, -1}));
    const std::string z = g.add("Gemm", inputs, {{"transB", int64_t(1)}});
    return g.activation(g.reshaped(z, {0, outputs_, 1, 1}), activation_.kind);
  }

 private:
  void plan_batchnorm(Plan& p, Shape out) {
    const Shape channels{1, 1, 1, outputs_};
    declare_batchnorm(p, norm_, channels);
    norm_.activation = activation_.kind;
    p.keep(z_, out, p.input_type());
    if (training_ && p.on_gpu() && !norm_.frozen) p.scratch(norm_.partial, batchnorm_partial(out));
  }

  void plan_device(Plan& p) {
    cuda::ConvolutionProblem problem;
    problem.x = one_pixel({nullptr, p.input()}).shape;
    problem.filters = outputs_;
    problem.input_type = p.input_type();
    problem.output_type = training_ && batch_normalize_ ? p.input_type() : p.output_type();
    problem.bias = !batch_normalize_;
    fused_activation_ = !training_ && !batch_normalize_ && !across_channels(activation_.kind);
    if (fused_activation_) problem.activation = activation_.kind;
    device_ = std::make_unique<DeviceConvolution>(p, problem, cuda::make_fast_gemm);
  }

  void plan_packed(Plan& p, Shape out) {
    CpuConvolution::Options options;
    options.training = false;
    options.bias = true;
    fused_activation_ = !across_channels(activation_.kind);
    if (fused_activation_) options.activation = activation_.kind;
    options.algorithm = ConvolutionAlgorithm::direct;
    options.bf16_products = true;
    cpu_ =
        std::make_unique<CpuConvolution>(one_pixel({nullptr, p.input()}).shape, out, Convolution(), options);
    p.packed(packed_, {1, 1, 1, cpu_->packed_size()});
    p.lasting(folded_biases_, {1, 1, 1, outputs_});
    p.scratch(scratch_, {1, 1, 1, std::max(cpu_->scratch_size(), 1)});
  }

  // z = x W^T + bias
  void multiply(Stream& s, View<const float> bias, Tensor z) {
    if (device_)
      device_->forward(s, one_pixel(x()), weights(), bias, {}, z);
    else
      cpu::connected_forward(s, x(), weights_, bias, z);
  }

  static Tensor one_pixel(Tensor t) {
    const Shape s = t.shape;
    return {t.data, {s.n, 1, 1, s.h * s.w * s.c}, t.type};
  }
  // The copy, unless the input has another type than the network.
  Tensor weights() const { return one_pixel(x().type == Type::f32 ? Tensor(weights_) : weights_copy_); }

  int outputs_ = 1;
  bool batch_normalize_ = false, training_ = false;
  OutputActivation activation_;
  InitialWeights initial_;
  double flops_ = 0;
  bool frozen_ = false;                     // by its key
  BatchNorm norm_;                          // without batch norm only its bias and bias_gradient are used
  View<float> weights_, weight_gradients_;  // {outputs, h, w, c}
  Tensor weights_copy_;                     // in the network's precision
  Tensor z_;                                // the output before batch norm
  bool fused_activation_ = false;           // the product applies it
  std::unique_ptr<DeviceConvolution> device_;
  std::unique_ptr<CpuConvolution> cpu_;  // with bf16 in inference
  View<float> folded_biases_, packed_, scratch_;
};

extern const LayerType connected = {"connected", "conn", "every output sees every input", make<Connected>};

}  // namespace osprey
