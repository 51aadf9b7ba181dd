// [scale_channels]: the layer `from`, [N,H,W,C], times the layer before, which has one factor for each
// channel, [N,1,1,C], or with scale_wh=1 for each pixel, [N,H,W,1]; then an activation. The gate of a
// squeeze-and-excitation block: Hu et al., "Squeeze-and-Excitation Networks", 2018.

#include "cuda/scale_channels.h"

#include <algorithm>

#include "core/parallel.h"
#include "layers/channel_sums.h"
#include "layers/layer.h"
#include "layers/onnx_graph.h"
#include "layers/output_activation.h"
#include "layers/vector_loop.h"

namespace osprey {
namespace cpu {
namespace {

constexpr int kGrain = 16384;  // values worth a thread of their own

// body(row of x, first value of the gate for it), where the gate has c values for an image or one for a
// pixel.
template <class Body>
void for_each_gate(Shape x, bool pixels, Body&& body) {
  parallel_for(x.rows(), 1 + kGrain / x.c, [=](int64_t first, int64_t last) {
    for (int row = int(first); row < int(last); ++row) body(row, pixels ? row : row / (x.h * x.w) * x.c);
  });
}

}  // namespace

void scale_channels_forward(Stream&, View<const float> gate, View<const float> x, View<float> y,
                            bool pixels) {
  const int c = x.shape.c;
  for_each_gate(x.shape, pixels, [=](int row, int g) {
    VECTOR_LOOP
    for (int k = 0; k < c; ++k) y[row * c + k] = gate[pixels ? g : g + k] * x[row * c + k];
  });
}

void scale_channels_backward_input(Stream&, View<const float> gate, View<const float> dy, View<float> dx,
                                   bool pixels) {
  const int c = dx.shape.c;
  for_each_gate(dx.shape, pixels, [=](int row, int g) {
    VECTOR_LOOP
    for (int k = 0; k < c; ++k) dx[row * c + k] += gate[pixels ? g : g + k] * dy[row * c + k];
  });
}

void scale_channels_backward_gate(Stream&, View<const float> x, View<const float> dy, View<float> dgate,
                                  bool pixels) {
  const int c = x.shape.c, image = x.shape.h * x.shape.w;
  if (pixels) {
    for_each_gate(x.shape, pixels, [=](int row, int g) {
      double sum = 0;
      for (int k = 0; k < c; ++k) sum += double(x[row * c + k]) * dy[row * c + k];
      dgate[g] += float(sum);
    });
    return;
  }
  parallel_for(x.shape.n, 1 + kGrain / (int64_t(image) * c), [=](int64_t first, int64_t last) {
    for (int n = int(first); n < int(last); ++n)
      channel_sums(
          image, c,
          [=](int pixel, int k) {
            const int i = (n * image + pixel) * c + k;
            return Terms{double(x[i]) * double(dy[i]), 0};
          },
          [=](int k, Terms sum) { dgate[n * c + k] += float(sum.first); });
  });
}

}  // namespace cpu

class ScaleChannels final : public Layer, public OnnxLayer {
 public:
  void keys(Keys& k) override {
    activation_.keys(k, Activation::linear);
    k.flag("scale_wh", pixels_, false).help("one factor for each pixel, not for each channel");
  }

  std::vector<std::string> sources() const override {
    std::vector<std::string> all = {"-1"};
    all.insert(all.end(), from.begin(), from.end());
    return all;
  }

  void plan(Plan& p) override {
    p.require(p.inputs() == 2, "from", "from must be given: the one layer to multiply");
    const Shape gate = p.input(0), in = p.input(1);
    const Shape expected = pixels_ ? Shape{in.n, in.h, in.w, 1} : Shape{in.n, 1, 1, in.c};
    p.require(gate == expected, "from",
              fmt::format("layer `{}` is {}, so the layer before must be {}, not {}", sources().at(1),
                          in.text(), expected.text(), gate.text()));
    p.output(in);
    p.backward_reads_input(0);
    p.backward_reads_input(1);
    activation_.plan(p);
  }

  void forward(Stream& s) override {
    on(s, cpu::scale_channels_forward, cuda::scale_channels_forward)(s, x(0), x(1), activation_.target(y),
                                                                     pixels_);
    activation_.forward(s, y);
  }
  void backward(Stream& s) override {
    activation_.backward(s, y, dy);
    if (dx(0))
      on(s, cpu::scale_channels_backward_gate, cuda::scale_channels_backward_gate)(s, x(1), dy, dx(0),
                                                                                   pixels_);
    if (dx(1))
      on(s, cpu::scale_channels_backward_input, cuda::scale_channels_backward_input)(s, x(0), dy, dx(1),
                                                                                     pixels_);
  }

  std::string to_onnx(OnnxGraph& g) const override {
    return g.activation(g.add("Mul", {g.x(0), g.x(1)}), activation_.kind);
  }

 private:
  OutputActivation activation_;
  bool pixels_ = false;
};

extern const LayerType scale_channels = {"scale_channels", nullptr,
                                         "a layer times one factor for each channel", make<ScaleChannels>};

}  // namespace osprey
