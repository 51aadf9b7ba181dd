// [convolutional]: a convolution, then batch normalisation or a bias, then an activation.
//
//   z = x * weights          y = activation(batchnorm(z))   or   y = activation(z + biases)
//
// Training keeps z, from which backward works out again what it needs, and writes the gradient of z over that
// of y. A network that never trains folds batch norm into weights and biases (in double, as AlexeyAB's
// Darknet does), lets oneDNN apply the activation, and takes in an addition that follows (absorb_sum). The
// shapes follow Darknet: `pad=1` means size / 2 on each side, and dilation does not change the output's size.

#include <algorithm>
#include <cmath>

#include "cuda/activation.h"
#include "cuda/batchnorm.h"
#include "cuda/convolution.h"
#include "layers/convolution_onednn.h"
#include "layers/layer.h"

namespace osprey {
namespace {

class Convolutional final : public Layer {
 public:
  void keys(Keys& k) override {
    k.integer("filters", filters_, 1).at_least(1).help("output channels");
    k.integer("size", size_, 1).at_least(1).help("side of the square kernel");
    k.integer("stride", stride_, 1).at_least(1).help("pixels from one window to the next");
    k.integer("stride_x", stride_x_, stride_).at_least(1).shown_as("stride").help("the same, horizontally");
    k.integer("stride_y", stride_y_, stride_).at_least(1).shown_as("stride").help("the same, vertically");
    bool pad = false;
    k.flag("pad", pad, false).help("1: padding is size / 2, and the key `padding` is not read");
    k.integer("padding", padding_, 0).at_least(0).help("rows and columns of zeros on each side");
    if (pad) padding_ = size_ / 2;
    k.integer("dilation", dilation_, 1).at_least(1).help("pixels from one tap of the kernel to the next");
    if (size_ == 1) dilation_ = 1;
    k.integer("groups", convolution_.groups, 1)
        .at_least(1)
        .help("channels are cut into so many parts that do not see each other; = channels: depthwise");
    k.flag("batch_normalize", batch_normalize_, false).help("1: normalise each channel over the mini-batch");
    k.choice("activation", activation_, Activation::logistic, kActivationNames)
        .help("applied to every value");
    k.flag("flipped", flipped_, false).help("1: the kernels are transposed in the .weights file");
    for (const char* key :
         {"binary", "xnor", "bin_output", "cbn", "sway", "rotate", "stretch", "stretch_sway", "coordconv",
          "assisted_excitation", "antialiasing", "share_index", "reverse"}) {
      bool wanted = false;
      k.flag(key, wanted, false).help("not supported: only 0 is accepted");
      if (wanted) unsupported_.push_back(key);
    }
    for (const char* key : {"dot", "grad_centr", "stream", "wait_stream", "angle"})
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
    convolution_.window = {convolution_window(size_, stride_y_, padding_, dilation_),
                           convolution_window(size_, stride_x_, padding_, dilation_)};
    const Window &h = convolution_.window.h, &w = convolution_.window.w;
    p.require(
        in.h + h.padding >= h.reach() && in.w + w.padding >= w.reach(), "size",
        fmt::format("a window of {} pixels does not fit into the input of {}x{}", h.reach(), in.w, in.h));
    const Shape out = convolution_.output(in, filters_);
    p.output(out);
    if (p.inputs() == 2)
      p.require(p.input(1) == out, fmt::format("cannot add {} to {}", p.input(1).text(), out.text()));

    const Shape channels{1, 1, 1, filters_}, weights = convolution_.weights(in, filters_);
    flops_ = 2.0 * double(weights.elements()) * out.h * out.w;
    declare_parameters(p, channels, weights);

    training_ = p.training();
    reference_ = p.options().reference_convolution;
    norm_.epsilon = p.options().batchnorm_epsilon;
    norm_.activation = activation_;
    const bool pre_activation = training_ && (batch_normalize_ || activation_ != Activation::linear);
    if (pre_activation) p.keep(z_, out);
    if (batch_normalize_) {
      p.keep(norm_.mean, channels);
      p.keep(norm_.inverse_deviation, channels);
      if (training_ && p.on_gpu()) p.scratch(norm_.partial, batchnorm_partial(out));
    }
    if (training_) {
      p.backward_reads_input();
      p.obeys_writes();
    } else {
      p.lasting(folded_biases_, channels);
    }

    if (reference_) {
      p.scratch(scratch_, convolution_.patches(in));
      if (!training_) p.lasting(packed_, weights);
      return;
    }
    OneDnnConvolution::Options options;
    options.training = training_;
    options.needs_dx = p.needs_dx();
    options.bias = !training_ || !batch_normalize_;
    if (!training_ && OneDnnConvolution::folds(activation_) && OneDnnConvolution::folds(sum_activation_)) {
      options.activation = activation_;
      options.residual = absorbs_sum_;
      options.residual_activation = sum_activation_;
    }
    onednn_ = std::make_unique<OneDnnConvolution>(in, out, convolution_, options);
    const Shape packed{1, 1, 1, onednn_->packed_size()};
    if (training_)
      p.scratch(packed_, packed);
    else
      p.lasting(packed_, packed);
    p.scratch(scratch_, {1, 1, 1, std::max(onednn_->scratch_size(), 1)});
  }

  void prepare(Stream&) override {
    // w' = w scale / sqrt(variance + epsilon), b' = bias - scale mean / sqrt(variance + epsilon)
    const int taps = weights_.size() / filters_;
    View<float> weights = reference_ ? packed_ : View<float>{scratch_weights(), weights_.shape};
    for (int f = 0; f < filters_; ++f) {
      double factor = 1, bias = norm_.bias[f];
      if (batch_normalize_) {
        factor = norm_.scale[f] / std::sqrt(double(norm_.rolling_variance[f]) + norm_.epsilon);
        bias -= factor * norm_.rolling_mean[f];
      }
      folded_biases_[f] = float(bias);
      for (int t = 0; t < taps; ++t)
        weights.data[int64_t(f) * taps + t] = float(weights_.data[int64_t(f) * taps + t] * factor);
    }
    if (!reference_) onednn_->pack(weights, packed_);
    folding_space_ = {};
  }

  void forward(Stream& s) override {
    if (!training_) return forward_folded(s);
    View<float> y = Layer::y, z = z_ ? z_ : y;
    const View<const float> bias = batch_normalize_ ? View<float>{} : norm_.bias;
    if (reference_) {
      on(s, cpu::convolution_forward, cuda::convolution_forward)(s, x(), weights_, bias, z, scratch_,
                                                                 convolution_);
    } else {
      onednn_->pack(weights_, packed_);
      onednn_->forward(x(), packed_, bias, {}, z, scratch_);
    }
    if (batch_normalize_)
      on(s, cpu::batchnorm_forward_training, cuda::batchnorm_forward_training)(s, z, y, norm_);
    else if (z_)
      on(s, cpu::activation_forward, cuda::activation_forward)(s, z, y, activation_);
  }

  void backward(Stream& s) override {
    View<float> dz = dy;  // the gradient of z is written over that of y
    if (batch_normalize_) {
      on(s, cpu::batchnorm_backward, cuda::batchnorm_backward)(s, z_, dz, dz, norm_);
    } else {
      if (z_) on(s, cpu::activation_backward, cuda::activation_backward)(s, z_, dz, dz, activation_);
      on(s, cpu::bias_backward, cuda::bias_backward)(s, dz, norm_.bias_gradient);
    }
    if (!reference_) {
      onednn_->backward_weights(x(), dz, weight_gradients_, scratch_);
      if (dx()) onednn_->backward_data(dz, weights_, dx(), writes() == Write::add, scratch_);
      return;
    }
    on(s, cpu::convolution_backward_weights, cuda::convolution_backward_weights)(
        s, x(), dz, weight_gradients_, scratch_, convolution_);
    if (!dx()) return;
    View<float> gradient = dx();
    if (writes() == Write::overwrite) std::fill(gradient.begin(), gradient.end(), 0.0f);
    on(s, cpu::convolution_backward_data, cuda::convolution_backward_data)(s, dz, weights_, gradient,
                                                                           scratch_, convolution_);
  }

  bool absorb_sum(Activation activation) override {
    if (!OneDnnConvolution::folds(activation_) || !OneDnnConvolution::folds(activation)) return false;
    absorbs_sum_ = true;
    sum_activation_ = activation;
    return true;
  }

  LayerSummary summary() const override {
    std::string window = fmt::format("{}x{}/{}", size_, size_, stride_);
    if (dilation_ > 1) window += fmt::format("({})", dilation_);
    if (convolution_.groups > 1) window += fmt::format(" g{}", convolution_.groups);
    return {filters_, window, flops_};
  }

 private:
  void declare_parameters(Plan& p, Shape channels, Shape weights) {
    ParameterInfo info{"biases", Role::offset};
    p.parameter(norm_.bias, norm_.bias_gradient, channels, info);
    if (batch_normalize_) {
      info = {"scales", Role::offset};
      info.fill = 1;
      info.batch_scale = true;
      p.parameter(norm_.scale, norm_.scale_gradient, channels, info);
      info.fill = 0;
      info.name = "rolling_mean";
      p.statistic(norm_.rolling_mean, channels, info);
      info.name = "rolling_variance";
      p.statistic(norm_.rolling_variance, channels, info);
    }
    info = {"weights", Role::weights, FileOrder::convolution};
    info.uniform = std::sqrt(2.0f / float(weights.h * weights.w * weights.c));
    info.flipped = flipped_;
    p.parameter(weights_, weight_gradients_, weights, info);
  }

  void forward_folded(Stream& s) {
    View<float> out = y;
    if (!reference_) {
      const View<const float> residual = absorbs_sum_ ? x(1).view<const float>() : View<const float>{};
      onednn_->forward(x(), packed_, folded_biases_, residual, out, scratch_);
      if (OneDnnConvolution::folds(activation_)) return;
      on(s, cpu::activation_forward, cuda::activation_forward)(s, out, out, activation_);
      return;
    }
    on(s, cpu::convolution_forward, cuda::convolution_forward)(s, x(), packed_, folded_biases_, out, scratch_,
                                                               convolution_);
    on(s, cpu::activation_forward, cuda::activation_forward)(s, out, out, activation_);
    if (!absorbs_sum_) return;
    const View<const float> residual = x(1);
    for (int i = 0; i < out.size(); ++i) out[i] += residual[i];
    on(s, cpu::activation_forward, cuda::activation_forward)(s, out, out, sum_activation_);
  }

  // Folding happens once, outside of a step, so it may use memory of its own.
  float* scratch_weights() {
    folding_space_.resize(weights_.size());
    return folding_space_.data();
  }

  int filters_ = 1, size_ = 1, stride_ = 1, stride_x_ = 1, stride_y_ = 1, padding_ = 0, dilation_ = 1;
  bool batch_normalize_ = false, flipped_ = false;
  Activation activation_ = Activation::logistic;
  Convolution convolution_;
  std::vector<const char*> unsupported_;
  bool training_ = true, reference_ = false, absorbs_sum_ = false;
  Activation sum_activation_ = Activation::linear;
  double flops_ = 0;

  View<float> weights_, weight_gradients_;  // {filters, size, size, channels / groups}
  BatchNorm norm_;                          // without batch norm only its bias and bias_gradient are used
  View<float> z_;                           // the output before batch norm and activation
  View<float> packed_, folded_biases_, scratch_;
  std::vector<float> folding_space_;
  std::unique_ptr<OneDnnConvolution> onednn_;
};

}  // namespace

extern const LayerType convolutional = {"convolutional", "conv",
                                        "a convolution, then batch norm or a bias, then an activation",
                                        make<Convolutional>};

}  // namespace osprey
