// [deconvolutional]: a transposed convolution, then batch normalisation or a bias, then an activation.
//
// Each input pixel puts a weighted window on the output, `stride` pixels further than its neighbour's:
//
//   z[n, i*stride - padding + p, j*stride - padding + q, f] += w[ch, p, q, f] x[n,i,j,ch]
//   y = activation(batchnorm(z))   or   y = activation(z + biases)
//
// That is the gradient of the data of a convolution that leads from y to x, so all three directions are those
// of convolution with the ends exchanged: forward is its backward_data, the gradient of x its forward, and
// the gradient of the weights its backward_weights. By a CpuConvolution, or the readable convolution_reference.cpp, on
// the CPU; by cuda/convolution.cu on a GPU.
#include <algorithm>

#include "core/parallel.h"
#include "cuda/activation.h"
#include "cuda/batchnorm.h"
#include "cuda/convolution.h"
#include "cuda/epilogue.h"
#include "layers/batchnorm_parameters.h"
#include "layers/convolution_cpu.h"
#include "layers/initial_weights.h"
#include "layers/layer.h"
#include "layers/onnx_graph.h"

namespace osprey {
namespace {

// z += bias, on the CPU.
void add_bias(View<float> z, View<const float> bias) {
  const int channels = z.shape.c;
  parallel_for(z.shape.rows(), 1 + 16384 / channels, [=](int64_t first, int64_t last) {
    for (int row = int(first); row < int(last); ++row)
      for (int c = 0; c < channels; ++c) z[row * channels + c] += bias[c];
  });
}

class Deconvolutional final : public Layer, public OnnxLayer {
 public:
  void keys(Keys& k) override {
    k.integer("filters", filters_, 1).at_least(1).help("output channels");
    k.integer("size", size_, 1).between(1, 65536).help("side of the square kernel");
    k.integer("stride", stride_, 1).between(1, 65536).help("output pixels from one window to the next");
    bool pad = false;
    k.flag("pad", pad, false).help("1: padding is size / 2, and the key `padding` is not read");
    k.integer("padding", padding_, 0)
        .between(0, 65536)
        .help("rows and columns cut off the output on each side");
    if (pad) padding_ = size_ / 2;
    k.integer("output_pad", output_pad_, 0)
        .at_least(0)
        .help("rows and columns more after the output, fewer than `stride`");
    k.integer("groups", convolution_.groups, 1)
        .at_least(1)
        .help("channels are cut into so many parts that do not see each other");
    k.flag("batch_normalize", batch_normalize_, false).help("1: normalise each channel over the mini-batch");
    frozen_key(k, frozen_);
    initial_.keys(k);
    k.choice("activation", norm_.activation, Activation::logistic, kActivationNames)
        .help("applied to every value");
  }

  void plan(Plan& p) override {
    const Shape in = p.input(), out = output_of(p);
    norm_.frozen = batch_normalize_ && (frozen_ || p.options().frozen);
    const Window window{size_, stride_, padding_, 2 * padding_, 1};
    convolution_.window = {window, window};
    p.output(out);

    const Shape channels{1, 1, 1, filters_};
    weights_shape_ = convolution_.weights(out, in.c);
    flops_ = 2.0 * double(weights_shape_.elements()) * in.h * in.w * p.items_per_image();
    declare_bias(p, norm_, channels, initial_.bias());
    if (batch_normalize_) declare_batchnorm(p, norm_, channels);
    // Darknet's and PyTorch's order is that of a convolution from y to x: [channels][filters][h][w].
    ParameterInfo info{"weights", Role::weights, FileOrder::convolution};
    initial_.set(info, {filters_, size_, size_, in.c / convolution_.groups});
    p.parameter(weights_, weight_gradients_, weights_shape_, info, p.on_gpu() ? &weights_copy_ : nullptr);

    training_ = p.training();
    if (keeps_z()) p.keep(z_, out, p.input_type());
    if (training_) {
      p.backward_reads_input();
      p.obeys_writes();
    }
    if (p.on_gpu())
      plan_kernels(p);
    else
      plan_cpu(p);
  }

  void forward(Stream& s) override {
    const Tensor z = z_ ? z_ : y;
    if (s.device == Device::cuda)
      cuda::convolution_backward_data(s, x(), weights_in_precision(), z, false, convolution_);
    else
      spread(s, z);
    if (!batch_normalize_)
      finish_with_bias(s, z);
    else if (training_)
      on(s, cpu::batchnorm_forward_training, cuda::batchnorm_forward_training)(s, z, y, norm_);
    else
      on(s, cpu::batchnorm_forward_inference, cuda::batchnorm_forward_inference)(s, z, y, norm_);
  }

  void backward(Stream& s) override {
    const Tensor dz = dy;  // the gradient of z is written over that of y
    if (batch_normalize_) {
      on(s, cpu::batchnorm_backward, cuda::batchnorm_backward)(s, z_, dz, dz, norm_);
    } else {
      if (z_) on(s, cpu::activation_backward, cuda::activation_backward)(s, z_, dz, dz, norm_.activation);
      on(s, cpu::bias_backward, cuda::bias_backward)(s, dz, norm_.bias_gradient, norm_.partial);
    }
    if (s.device == Device::cuda)
      backward_by_kernels(s, dz);
    else
      backward_on_cpu(s, dz);
  }

  LayerSummary summary() const override {
    std::string window = fmt::format("{}x{}*{}", size_, size_, stride_);
    if (convolution_.groups > 1) window += fmt::format(" g{}", convolution_.groups);
    return {filters_, window, flops_};
  }

  // ONNX has the weights as Darknet's file does: [channels][filters / groups][h][w].
  std::string to_onnx(OnnxGraph& g) const override {
    OnnxGraph::Names inputs = {g.x(), g.weights(weights_)};
    if (!batch_normalize_)
      inputs.push_back(g.constant("biases", {filters_}, {norm_.bias.begin(), norm_.bias.end()}));
    const int64_t s = stride_, more = output_pad_, cut = padding_;
    const std::string z = g.add("ConvTranspose", inputs,
                                {{"kernel_shape", OnnxGraph::Sides{size_, size_}},
                                 {"strides", OnnxGraph::Sides{s, s}},
                                 {"pads", OnnxGraph::Sides{cut, cut, cut, cut}},
                                 {"output_padding", OnnxGraph::Sides{more, more}},
                                 {"group", int64_t(convolution_.groups)}});
    return g.activation(batch_normalize_ ? batchnorm_to_onnx(g, z, norm_) : z, norm_.activation);
  }

 private:
  Shape output_of(const Plan& p) const {
    const Shape in = p.input();
    const int groups = convolution_.groups;
    p.require(in.c % groups == 0, "groups",
              fmt::format("groups={} must divide the {} input channels", groups, in.c));
    p.require(filters_ % groups == 0, "groups",
              fmt::format("groups={} must divide filters={}", groups, filters_));
    p.require(output_pad_ < stride_, "output_pad",
              fmt::format("output_pad={} must be less than stride={}", output_pad_, stride_));
    p.require(batch_normalize_ || !frozen_, "frozen",
              "frozen=1 is about batch norm: it needs batch_normalize=1");
    const auto length = [&](int pixels) {
      return int64_t(pixels - 1) * stride_ - 2 * int64_t(padding_) + size_ + output_pad_;
    };
    const int64_t h = length(in.h), w = length(in.w);
    p.require(
        h >= 1 && w >= 1, "size",
        fmt::format("nothing is left of an output of {}x{} pixels from an input of {}x{}", w, h, in.w, in.h));
    p.require(h <= kMostPixels && w <= kMostPixels, "stride",
              fmt::format("an output of {}x{} pixels is too large", w, h));
    return {in.n, int(h), int(w), filters_};
  }

  void plan_kernels(Plan& p) {
    if (!training_) return;
    const Shape in = p.input(), out = p.output_shape();
    if (!norm_.frozen)
      p.scratch(norm_.partial, batch_normalize_ ? batchnorm_partial(out) : bias_partial(out));
    const int sums = cuda::convolution_scratch(out, in.c, convolution_);
    if (sums > 0) p.scratch(partial_sums_, {1, 1, 1, sums});
  }

  void plan_cpu(Plan& p) {
    const Shape in = p.input(), out = p.output_shape();
    if (p.needs_dx()) p.scratch(sum_, in);
    if (p.options().convolution == ConvolutionAlgorithm::reference) {
      p.scratch(scratch_, convolution_.patches(out));
      return;
    }
    // Forward is a backward pass of oneDNN's convolution, so it is always one that trains.
    cpu_ = std::make_unique<CpuConvolution>(out, in, convolution_, CpuConvolution::Options{});
    p.scratch(packed_, {1, 1, 1, cpu_->packed_size()});
    p.scratch(scratch_, {1, 1, 1, std::max(cpu_->scratch_size(), 1)});
  }

  bool keeps_z() const { return training_ && (batch_normalize_ || norm_.activation != Activation::linear); }
  // The copy, unless the input has another type than the network.
  Tensor weights_in_precision() const { return x().type == Type::f32 ? Tensor(weights_) : weights_copy_; }

  // z = x * weights, on the CPU.
  void spread(Stream& s, View<float> z) {
    if (cpu_) return cpu_->backward_data(x(), weights_, z, false, scratch_);
    std::fill(z.begin(), z.end(), 0.0f);
    cpu::convolution_backward_data(s, x(), weights_, z, scratch_, convolution_);
  }

  // What is kept has its bias.
  void finish_with_bias(Stream& s, Tensor z) {
    if (s.device == Device::cuda)
      cuda::epilogue(s, z, norm_.bias, Activation::linear, {}, Activation::linear, z);
    else
      add_bias(z, norm_.bias);
    if (norm_.activation != Activation::linear)
      on(s, cpu::activation_forward, cuda::activation_forward)(s, z, y, norm_.activation);
  }

  void backward_by_kernels(Stream& s, Tensor dz) {
    cuda::convolution_backward_weights(s, dz, x(), weight_gradients_, partial_sums_, convolution_);
    if (!dx()) return;
    const Tensor before = writes() == Write::add ? dx() : Tensor();
    cuda::convolution_forward(s, dz, weights_in_precision(),
                              {{}, Activation::linear, before, Activation::linear}, dx(), convolution_);
  }

  void backward_on_cpu(Stream& s, View<float> dz) {
    if (cpu_)
      cpu_->backward_weights(dz, x(), weight_gradients_, scratch_);
    else
      cpu::convolution_backward_weights(s, dz, x(), weight_gradients_, scratch_, convolution_);
    if (!dx()) return;
    const View<float> gradient = dx(), result = writes() == Write::add ? sum_ : gradient;
    if (cpu_) {
      cpu_->pack(weights_.data, packed_);
      cpu_->forward(dz, packed_, {}, result, scratch_);
    } else {
      cpu::convolution_forward(s, dz, weights_, {}, result, scratch_, convolution_);
    }
    if (result.data == gradient.data) return;
    parallel_for(gradient.size(), 1 << 14, [=](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) gradient.data[i] += result.data[i];
    });
  }

  static constexpr int64_t kMostPixels = 65536;  // of a side, as of the network's input

  int filters_ = 1, size_ = 1, stride_ = 1, padding_ = 0, output_pad_ = 0;
  bool batch_normalize_ = false, training_ = true;
  InitialWeights initial_;
  Convolution convolution_;  // from y to x
  Shape weights_shape_;
  double flops_ = 0;

  View<float> weights_, weight_gradients_;  // {channels, size, size, filters / groups}
  Tensor weights_copy_;                     // in the network's precision
  bool frozen_ = false;                     // by its key
  BatchNorm norm_;                          // without batch norm only its bias, gradient and activation
  Tensor z_;                                // the output before batch norm and activation
  View<float> packed_, scratch_, sum_, partial_sums_;
  std::unique_ptr<CpuConvolution> cpu_;
};

}  // namespace

extern const LayerType deconvolutional = {"deconvolutional", "deconv",
                                          "a transposed convolution, then batch norm or a bias, then an "
                                          "activation",
                                          make<Deconvolutional>};

}  // namespace osprey
