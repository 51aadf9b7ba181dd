// [normalization]: each value divided by a power of what its neighbours among the channels have ("local
// response normalisation", Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional
// neural networks", 2012), with Darknet's window (cuda/normalization.h). The gradient is the derivative of
// that; Darknet's leaves out how a value changes the norms.

#include "cuda/normalization.h"

#include <cmath>

#include "core/parallel.h"
#include "layers/layer.h"
#include "layers/onnx_graph.h"

namespace osprey {
namespace cpu {
namespace {

// body(first value of a pixel) for every pixel.
template <class Body>
void for_each_pixel(Shape s, Body&& body) {
  parallel_for(s.rows(), 1 + 4096 / s.c, [=](int64_t first, int64_t last) {
    for (int row = int(first); row < int(last); ++row) body(row * s.c);
  });
}

}  // namespace

// The sum slides: the channel that enters the window is added, the one that leaves it taken away.
void normalization_forward(Stream&, View<const float> x, View<float> y, View<float> norms,
                           ChannelWindow window) {
  for_each_pixel(x.shape, [=](int pixel) {
    const int channels = x.shape.c, ahead = window.size / 2, behind = (window.size - 1) / 2;
    const auto square = [&](int c) {
      return c >= 0 && c < channels ? double(x[pixel + c]) * x[pixel + c] : 0;
    };
    double sum = 0;
    for (int c = 0; c < ahead; ++c) sum += square(c);
    for (int c = 0; c < channels; ++c) {
      if (c > 0) sum += square(c + ahead) - square(c - behind - 1);
      const float norm = float(window.kappa + window.alpha * sum);
      if (norms) norms[pixel + c] = norm;
      y[pixel + c] = x[pixel + c] * std::pow(norm, -window.beta);
    }
  });
}

void normalization_backward(Stream&, View<const float> x, View<const float> norms, View<const float> dy,
                            View<float> dx, ChannelWindow window) {
  for_each_pixel(x.shape, [=](int pixel) {
    const int channels = x.shape.c;
    double all = 0;
    const auto term = [&](int c) {
      const int i = pixel + c;
      return double(dy[i]) * x[i] * std::pow(double(norms[i]), -double(window.beta) - 1);
    };
    for (int c = 0; c < channels; ++c) all += term(c);
    for (int c = 0; c < channels; ++c) {
      double sum = c == window.missing() ? -all : 0;
      for (int k = window.first_with(c); k <= window.last_with(c, channels); ++k) sum += term(k);
      const int i = pixel + c;
      dx[i] += float(dy[i] * std::pow(double(norms[i]), -double(window.beta)) -
                     2.0 * window.alpha * window.beta * x[i] * sum);
    }
  });
}

}  // namespace cpu

class Normalization final : public Layer, public OnnxLayer {
 public:
  void keys(Keys& k) override {
    k.real("alpha", window_.alpha, 1e-4f)
        .help("factor of the squares (not divided by size, as Caffe does it)");
    k.real("beta", window_.beta, 0.75f).help("the power");
    k.real("kappa", window_.kappa, 1).help("added to the squares");
    k.integer("size", window_.size, 5).at_least(1).help("channels of a window");
  }

  void plan(Plan& p) override {
    p.output(p.input());
    p.backward_reads_input();
    p.keep(norms_, p.input());
  }

  void forward(Stream& s) override {
    on(s, cpu::normalization_forward, cuda::normalization_forward)(s, x(), y, norms_, window_);
  }
  void backward(Stream& s) override {
    if (dx())
      on(s, cpu::normalization_backward, cuda::normalization_backward)(s, x(), norms_, dy, dx(), window_);
  }

  // Not ONNX's LRN, whose sums lack no channel: the sums are a convolution of the squares.
  std::string to_onnx(OnnxGraph& g) const override {
    const int channels = x().shape.c;
    g.require(channels <= 4096, "size", fmt::format("{} channels are too many: 4096", channels));
    std::vector<float> counted(size_t(channels) * channels);
    for (int c = 0; c < channels; ++c) {
      float* row = &counted[size_t(c) * channels];
      for (int k = window_.first(c); k <= window_.last(c, channels); ++k) row[k] += window_.alpha;
      if (window_.missing() < channels) row[window_.missing()] -= window_.alpha;
    }
    const std::string kappas = g.constant("kappa", {channels}, std::vector<float>(channels, window_.kappa));
    const std::string norms =
        g.add("Conv", {g.add("Mul", {g.x(), g.x()}),
                       g.constant("window", {channels, channels, 1, 1}, std::move(counted)), kappas});
    return g.add("Mul", {g.x(), g.add("Pow", {norms, g.number(-window_.beta)})});
  }

 private:
  ChannelWindow window_;
  View<float> norms_;
};

extern const LayerType normalization = {"normalization", "lrn",
                                        "each value divided by a power of its neighbours among the channels",
                                        make<Normalization>};

}  // namespace osprey
