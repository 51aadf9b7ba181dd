// [convolutional]: a convolution, then batch normalisation or a bias, then an activation.
//
//   z = x * weights          y = activation(batchnorm(z))   or   y = activation(z + biases)
//
// Training keeps z, from which backward works out again what it needs, and writes the gradient of z over that
// of y. On the CPU it keeps no z where batch norm is frozen, or absent, and the slope of the activation can
// be told from y: the convolution itself then scales, shifts and activates. A network that never trains folds
// batch norm into weights and biases (in double, as AlexeyAB's Darknet does), applies the activation in the
// convolution, and takes in an addition or a pooling that follows (absorb_sum, absorb_pool). The shapes
// follow Darknet: `pad=1` means size / 2 on each side, and dilation does not change the output's size. With
// antialiasing all of that is done with stride 1, and a blur behind it has the stride.
//
// The convolution itself is a CpuConvolution, or the readable one of convolution_reference.cpp, on the CPU;
// on a GPU it is a DeviceConvolution.

#include <algorithm>
#include <cmath>

#include "core/parallel.h"
#include "cuda/activation.h"
#include "cuda/batchnorm.h"
#include "cuda/centre.h"
#include "cuda/convolution.h"
#include "cuda/fold.h"
#include "cuda/maxpool.h"
#include "layers/antialiasing.h"
#include "layers/batchnorm_parameters.h"
#include "layers/convolution_chain.h"
#include "layers/convolution_cpu.h"
#include "layers/convolution_device.h"
#include "layers/fold.h"
#include "layers/frozen_norm.h"
#include "layers/initial_weights.h"
#include "layers/layer.h"
#include "layers/onnx_graph.h"
#include "layers/output_activation.h"

namespace osprey {

namespace {

class Convolutional final : public Layer, public OnnxLayer, public ChainedLayer {
 public:
  void keys(Keys& k) override {
    k.integer("filters", filters_, 1).at_least(1).help("output channels");
    k.integer("size", size_, 1).between(1, 65536).help("side of the square kernel");
    k.integer("stride", stride_, 1).between(1, 65536).help("pixels from one window to the next");
    k.integer("stride_x", stride_x_, stride_)
        .between(1, 65536)
        .shown_as("stride")
        .help("the same, horizontally");
    k.integer("stride_y", stride_y_, stride_)
        .between(1, 65536)
        .shown_as("stride")
        .help("the same, vertically");
    bool pad = false;
    k.flag("pad", pad, false).help("1: padding is size / 2, and the key `padding` is not read");
    k.integer("padding", padding_, 0).between(0, 65536).help("rows and columns of zeros on each side");
    if (pad) padding_ = size_ / 2;
    k.integer("dilation", dilation_, 1)
        .between(1, 4096)
        .help("pixels from one tap of the kernel to the next");
    if (size_ == 1) dilation_ = 1;
    k.integer("groups", convolution_.groups, 1)
        .at_least(1)
        .help("channels are cut into so many parts that do not see each other; = channels: depthwise");
    k.flag("batch_normalize", batch_normalize_, false).help("1: normalise each channel over the mini-batch");
    k.flag("cbn", across_mini_batches_, false)
        .help("1: over several mini-batches: not supported in training; as batch_normalize=1 in detection");
    batch_normalize_ |= across_mini_batches_;
    frozen_key(k, frozen_);
    initial_.keys(k);
    channels_.keys(k, Activation::logistic);
    activation_ = channels_.kind;
    if (across_channels(activation_))
      activation_ = Activation::linear;
    else
      channels_.kind = Activation::linear;
    antialiasing_.keys(k);
    k.flag("flipped", flipped_, false).help("1: the kernels are transposed in the .weights file");
    k.flag("grad_centr", centred_, false)
        .help("1: the mean of a filter's gradients is taken from each of them");
    for (const char* key : {"binary", "xnor", "bin_output", "sway", "rotate", "stretch", "stretch_sway",
                            "coordconv", "assisted_excitation", "reverse"}) {
      bool wanted = false;
      k.flag(key, wanted, false).help("not supported: only 0 is accepted");
      if (wanted) unsupported_.push_back(key);
    }
    for (const char* key : {"dot", "stream", "wait_stream", "angle"})
      k.ignored(key, "it has no effect on the CPU in Darknet either");
  }

  void plan(Plan& p) override {
    for (const char* key : unsupported_)
      p.require(false, key, fmt::format("{} is not supported: remove it, or set it to 0", key));
    const Shape in = p.input();
    const int groups = convolution_.groups;
    p.require(in.c % groups == 0, "groups",
              fmt::format("groups={} must divide the {} input channels", groups, in.c));
    p.require(filters_ % groups == 0, "groups",
              fmt::format("groups={} must divide filters={}", groups, filters_));
    p.require(batch_normalize_ || !frozen_, "frozen",
              "frozen=1 is about batch norm: it needs batch_normalize=1");
    norm_.frozen = batch_normalize_ && (frozen_ || p.options().frozen);
    const bool dense = antialiasing_.on();
    convolution_.window = {convolution_window(size_, dense ? 1 : stride_y_, padding_, dilation_),
                           convolution_window(size_, dense ? 1 : stride_x_, padding_, dilation_)};
    const Window &h = convolution_.window.h, &w = convolution_.window.w;
    p.require(
        in.h + h.padding >= h.reach() && in.w + w.padding >= w.reach(), "size",
        fmt::format("a window of {} pixels does not fit into the input of {}x{}", h.reach(), in.w, in.h));
    const Shape out = convolution_.output(in, filters_);
    const Type type = absorbs_sum_ ? p.input_type(1) : p.wanted_type();
    p.output(pool_ ? pooled_shape(out, *pool_) : antialiasing_.plan(p, out, stride_y_, stride_x_, type),
             type);
    if (p.inputs() == (before_.empty() ? 2 : 3))  // the last one is a chain's
      p.require(p.input(1) == out, fmt::format("cannot add {} to {}", p.input(1).text(), out.text()));
    p.require(!dense || channels_.kind == Activation::linear, "antialiasing",
              "antialiasing does not go with an activation that looks at all channels");
    channels_.plan(p);

    const Shape channels{1, 1, 1, filters_}, weights = convolution_.weights(in, filters_);
    declare_parameters(p, channels, weights);
    flops_ = 2.0 * double(weights.elements()) * out.h * out.w * p.items_per_image();

    training_ = p.training();
    reference_ = p.options().convolution == ConvolutionAlgorithm::reference;
    norm_.activation = activation_;
    fused_ = training_ && !p.on_gpu() && !reference_ && (norm_.frozen || !batch_normalize_) &&
             slope_from_output(activation_);
    z_ = {};
    if (fused_ && activation_ != Activation::linear) p.backward_reads_output();
    if (fused_ && batch_normalize_) p.scratch(factors_, channels), p.scratch(shifts_, channels);
    if (keeps_z()) p.keep(z_, out, p.on_gpu() ? p.input_type() : type);
    if (training_ && p.on_gpu() && !norm_.frozen)
      p.scratch(norm_.partial, batch_normalize_ ? batchnorm_partial(out) : bias_partial(out));
    if (training_) {
      p.backward_reads_input();
      p.obeys_writes();
    } else {
      p.lasting(folded_biases_, channels);
    }

    if (p.on_gpu())
      plan_device(p);
    else if (reference_)
      plan_reference(p);
    else
      plan_cpu(p, out);
  }

  void prepare(Stream& s, const ReadFilters& read) override {
    if (!cpu_) {
      on(s, cpu::fold_batchnorm, cuda::fold_batchnorm)(s, weights_, norm_, folded_weights_, folded_biases_);
      return;
    }
    fold_and_pack(s, weights_, read, norm_, *cpu_, packed_, folded_biases_);
  }

  void forward(Stream& s) override {
    if (!training_)
      forward_folded(s, own_output());
    else if (fused_)
      forward_fused(own_output());
    else
      forward_training(s, own_output());
    channels_.forward(s, y);
    antialiasing_.forward(s, y);
  }

  void backward(Stream& s) override {
    antialiasing_.backward(s, dy);
    channels_.backward(s, y, dy);
    const Tensor own = own_output();
    const Tensor dz = antialiasing_.sharp_gradient(dy);  // the gradient of z is written over that of `own`
    if (fused_ && batch_normalize_) {
      cpu::frozen_factors(norm_, factors_, shifts_);
      cpu::frozen_backward(own, factors_, dz, activation_);
    } else if (batch_normalize_) {
      on(s, cpu::batchnorm_backward, cuda::batchnorm_backward)(s, z_, dz, dz, norm_);
    } else {
      if (activation_ != Activation::linear)
        on(s, cpu::activation_backward, cuda::activation_backward)(s, z_ ? z_ : own, dz, dz, activation_);
      on(s, cpu::bias_backward, cuda::bias_backward)(s, dz, norm_.bias_gradient, norm_.partial);
    }
    backward_convolution(s, dz);
    if (centred_) on(s, cpu::centre_gradients, cuda::centre_gradients)(s, weight_gradients_);
  }

  bool converts() const override { return true; }
  bool takes_bf16(const BuildOptions& build) const override {
    return convolution_.groups == 1 && ends_with_activation() &&
           build.convolution != ConvolutionAlgorithm::reference &&
           build.convolution != ConvolutionAlgorithm::onednn;
  }
  // In training what follows the convolution must be batch norm.
  bool makes_bf16(const BuildOptions& build) const override {
    return takes_bf16(build) && (!build.training || (batch_normalize_ && !frozen_ && !build.frozen));
  }

  bool absorb_sum(Activation activation) override {
    if (!ends_with_activation()) return false;
    absorbs_sum_ = true;
    sum_activation_ = activation;
    return true;
  }

  bool absorb_pool(const Window2& window) override {
    if (!cpu_ || !ends_with_activation() || !cpu_->pools(window)) return false;
    pool_ = window;
    return true;
  }

  // A sum that it does lies as y does, and a chain has its own steps.
  bool makes_slice() const override {
    return cpu_ && before_.empty() && !absorbs_sum_ && ends_with_activation() && cpu_->makes_slice();
  }
  bool reads_slice(int k) const override { return k == 0 && cpu_ && before_.empty() && cpu_->reads_slice(); }

  Kind kind() const override {
    return !training_ && cpu_ && !pool_ && ends_with_activation() ? cpu_->kind() : Kind::none;
  }
  void take_over(std::vector<const ChainedLayer*> before) override { before_ = std::move(before); }
  ChainLink link() const override { return cpu_->link(packed_, {folded_biases_, {}, residual()}); }

  const char* why_not_trained() const override {
    return across_mini_batches_ ? "cbn=1 is not supported in training: batch_normalize=1 is alike" : nullptr;
  }

  LayerSummary summary() const override {
    std::string window = fmt::format("{}x{}/{}", size_, size_, stride_);
    if (dilation_ > 1) window += fmt::format("({})", dilation_);
    if (convolution_.groups > 1) window += fmt::format(" g{}", convolution_.groups);
    return {filters_, window, flops_, cpu_ ? cpu_->algorithms() : ""};
  }

  std::string to_onnx(OnnxGraph& g) const override {
    const Window2& window = convolution_.window;
    OnnxGraph::Names inputs = folded_to_onnx(g, weights_, norm_, false);
    inputs.insert(inputs.begin(), g.x());
    OnnxGraph::Attributes attributes = OnnxGraph::window(window);
    attributes.push_back({"dilations", OnnxGraph::Sides{window.h.dilation, window.w.dilation}});
    attributes.push_back({"group", int64_t(convolution_.groups)});
    const std::string own = g.activation(g.add("Conv", inputs, attributes), activation_);
    return antialiasing_.to_onnx(g, g.activation(own, channels_.kind), filters_);
  }

 private:
  void declare_parameters(Plan& p, Shape channels, Shape weights) {
    declare_bias(p, norm_, channels, initial_.bias());
    if (batch_normalize_) declare_batchnorm(p, norm_, channels);
    ParameterInfo info{"weights", Role::weights, FileOrder::convolution};
    initial_.set(info, weights);
    info.flipped = flipped_;
    p.parameter(weights_, weight_gradients_, weights, info,
                p.on_gpu() && p.training() ? &weights_copy_ : nullptr);
  }

  void plan_device(Plan& p) {
    const Type type = p.input_type();
    cuda::ConvolutionProblem problem;
    problem.x = p.input();
    problem.filters = filters_;
    problem.convolution = convolution_;
    problem.input_type = type;
    problem.output_type = keeps_z() ? type : p.output_type();
    problem.bias = !training_ || !batch_normalize_;
    if (!training_) {
      problem.activation = activation_;
      problem.residual = absorbs_sum_;
      problem.residual_activation = sum_activation_;
      p.lasting(folded_weights_, convolution_.weights(p.input(), filters_), type);
    }
    device_ = std::make_unique<DeviceConvolution>(p, problem);
  }

  void plan_reference(Plan& p) {
    p.scratch(scratch_, convolution_.patches(p.input()));
    if (!training_) p.lasting(folded_weights_, convolution_.weights(p.input(), filters_), Type::f32);
  }

  void plan_cpu(Plan& p, Shape out) {
    CpuConvolution::Options options;
    options.training = training_;
    options.needs_dx = p.needs_dx();
    options.bias = !training_ || !batch_normalize_ || fused_;
    options.factors = fused_ && batch_normalize_;
    if (fused_) options.activation = activation_;
    if (!training_) {
      options.activation = activation_;
      options.residual = absorbs_sum_;
      options.residual_activation = sum_activation_;
      options.pool = pool_;
    }
    options.algorithm = p.options().convolution;
    options.bf16_products = p.options().bf16_products;
    options.x_type = p.input_type();
    options.y_type = p.output_type();
    cpu_ = std::make_unique<CpuConvolution>(p.input(), PitchedShape(out, p.output_pitch()), convolution_,
                                            options);
    const Shape packed{1, 1, 1, cpu_->packed_size()};
    if (training_)
      p.scratch(packed_, packed);
    else
      p.packed(packed_, packed);
    p.scratch(scratch_, {1, 1, 1, std::max(cpu_->scratch_size(), 1)});
  }

  bool keeps_z() const {
    return training_ && !fused_ && (batch_normalize_ || activation_ != Activation::linear);
  }
  bool ends_with_activation() const { return !antialiasing_.on() && channels_.kind == Activation::linear; }
  // What convolution, batch norm and activation make: y, unless something follows.
  Tensor own_output() const { return channels_.target(antialiasing_.sharp(y)); }
  // The copy, unless the input has another type than the network.
  Tensor weights_in_precision() const { return x().type == Type::f32 ? Tensor(weights_) : weights_copy_; }

  // z = x * weights + bias
  void convolve(Stream& s, View<const float> bias, Tensor z) {
    if (device_) return device_->forward(s, x(), weights_in_precision(), bias, {}, z);
    if (!cpu_) return cpu::convolution_forward(s, x(), weights_, bias, z, scratch_, convolution_);
    cpu_->pack(weights_.data, packed_);
    cpu_->forward(x(), packed_, {bias, {}, {}}, z, scratch_);
  }

  // dW and dx of the convolution alone.
  void backward_convolution(Stream& s, Tensor dz) {
    if (device_)
      return device_->backward(s, x(), weights_in_precision(), dz, weight_gradients_, dx(),
                               dx() ? writes() : Write::add);
    if (cpu_) {
      cpu_->backward_weights(x(), dz, weight_gradients_, scratch_);
      if (dx()) cpu_->backward_data(dz, weights_, dx(), writes() == Write::add, scratch_);
      return;
    }
    cpu::convolution_backward_weights(s, x(), dz, weight_gradients_, scratch_, convolution_);
    if (!dx()) return;
    const View<float> gradient = dx();
    if (writes() == Write::overwrite) std::fill(gradient.begin(), gradient.end(), 0.0f);
    cpu::convolution_backward_data(s, dz, weights_, gradient, scratch_, convolution_);
  }

  void forward_training(Stream& s, Tensor y) {
    const Tensor z = z_ ? z_ : y;
    convolve(s, batch_normalize_ ? View<float>{} : norm_.bias, z);
    if (batch_normalize_)
      on(s, cpu::batchnorm_forward_training, cuda::batchnorm_forward_training)(s, z, y, norm_);
    else if (z_)
      on(s, cpu::activation_forward, cuda::activation_forward)(s, z, y, activation_);
  }

  void forward_fused(Tensor y) {
    if (batch_normalize_) cpu::frozen_factors(norm_, factors_, shifts_);
    cpu_->pack(weights_.data, packed_);
    cpu_->forward(x(), packed_, {batch_normalize_ ? shifts_ : norm_.bias, factors_, {}}, y, scratch_);
  }

  void forward_folded(Stream& s, Tensor y) {
    if (device_) return device_->forward(s, x(), folded_weights_, folded_biases_, residual(), y);
    if (!before_.empty()) return forward_chain(y);
    if (cpu_) return cpu_->forward(x(), packed_, {folded_biases_, {}, residual()}, y, scratch_);
    const View<float> out = y;
    cpu::convolution_forward(s, x(), folded_weights_, folded_biases_, out, scratch_, convolution_);
    cpu::activation_forward(s, out, out, activation_);
    if (!absorbs_sum_) return;
    const View<const float> addend = residual();
    for (int i = 0; i < out.size(); ++i) out[i] += addend[i];
    cpu::activation_forward(s, out, out, sum_activation_);
  }

  void forward_chain(View<float> y) {
    links_.clear();
    for (const ChainedLayer* layer : before_) links_.push_back(layer->link());
    links_.push_back(link());
    run_chain(links_, View<const float>(inputs.back()).data, y.data);
  }

  Tensor residual() const { return absorbs_sum_ ? x(1) : Tensor(); }

  int filters_ = 1, size_ = 1, stride_ = 1, stride_x_ = 1, stride_y_ = 1, padding_ = 0, dilation_ = 1;
  bool batch_normalize_ = false, frozen_ = false, flipped_ = false, centred_ = false;
  InitialWeights initial_;
  Activation activation_ = Activation::logistic;
  OutputActivation channels_;  // one that looks at all channels, or linear: done after all else
  Antialiasing antialiasing_;
  Convolution convolution_;
  bool across_mini_batches_ = false;
  std::vector<const char*> unsupported_;
  bool training_ = true, reference_ = false, fused_ = false, absorbs_sum_ = false;
  Activation sum_activation_ = Activation::linear;
  std::optional<Window2> pool_;  // of a pooling that is done here
  double flops_ = 0;

  View<float> weights_, weight_gradients_;  // {filters, size, size, channels / groups}
  Tensor weights_copy_;                     // in the network's precision
  BatchNorm norm_;                          // without batch norm only its bias and bias_gradient are used
  Tensor z_;                                // the output before batch norm and activation, if kept
  View<float> factors_, shifts_;            // of the channels, where the convolution does frozen batch norm
  Tensor folded_weights_;                   // where it never trains, unless they are packed
  View<float> folded_biases_, packed_, scratch_;
  std::unique_ptr<CpuConvolution> cpu_;
  std::vector<const ChainedLayer*> before_;  // that forward runs, too
  std::vector<ChainLink> links_;
  std::unique_ptr<DeviceConvolution> device_;
};

}  // namespace

extern const LayerType convolutional = {"convolutional", "conv",
                                        "a convolution, then batch norm or a bias, then an activation",
                                        make<Convolutional>};

}  // namespace osprey
