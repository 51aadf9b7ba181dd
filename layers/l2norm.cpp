// [l2norm]: each pixel's channels divided by their length, and multiplied by learned factors.
//
//   y_c = scale_c x_c / (n + eps),   n = sqrt(sum of x_c^2 over the channels of the pixel)
//
// "ParseNet: Looking Wider to See Better", Liu et al., 2015, section 3.3; SSD has it behind conv4_3 with
// scale=20. Darknet's section has no factors, which is the default here; its gradient is not a derivative,
// ours is:
//
//   dx_c = scale_c dy_c / m - x_c sum(scale dy x) / (n m^2),   dscale_c = sum(dy_c x_c / m),   m = n + eps
//
// A pixel of zeros, where the derivative would be scale / eps, learns nothing.

#include "cuda/l2norm.h"

#include <cmath>

#include "core/parallel.h"
#include "layers/channel_sums.h"
#include "layers/layer.h"
#include "layers/onnx_graph.h"

namespace osprey {
namespace cpu {
namespace {

// body(row, first value of the row), for every pixel.
template <class Body>
void for_each_pixel(Shape s, Body&& body) {
  parallel_for(s.rows(), 1 + 16384 / s.c, [=](int64_t first, int64_t last) {
    for (int row = int(first); row < int(last); ++row) body(row, row * s.c);
  });
}

float scale_of(const L2Norm& l, int c) { return l.scale ? l.scale[c] : 1; }

}  // namespace

void l2norm_forward(Stream&, View<const float> x, L2Norm l, View<float> y) {
  for_each_pixel(x.shape, [=](int row, int start) {
    double sum = 0;
    for (int c = 0; c < x.shape.c; ++c) sum += double(x[start + c]) * x[start + c];
    const float norm = float(std::sqrt(sum));
    for (int c = 0; c < x.shape.c; ++c) y[start + c] = scale_of(l, c) * (x[start + c] / (norm + l.epsilon));
    if (l.norms) l.norms[row] = norm;
  });
}

void l2norm_backward_input(Stream&, View<const float> x, L2Norm l, View<const float> dy, View<float> dx) {
  for_each_pixel(x.shape, [=](int row, int start) {
    const float norm = l.norms[row], m = norm + l.epsilon;
    if (norm == 0) return;
    double along = 0;  // the part of the gradient that lengthens x, which changes nothing
    for (int c = 0; c < x.shape.c; ++c) along += double(scale_of(l, c)) * dy[start + c] * (x[start + c] / m);
    const float factor = float(along) / norm;
    for (int c = 0; c < x.shape.c; ++c)
      dx[start + c] += (scale_of(l, c) * dy[start + c] - x[start + c] * factor) / m;
  });
}

void l2norm_backward_scale(Stream&, View<const float> x, L2Norm l, View<const float> dy, View<float>,
                           View<float> dscale) {
  const int channels = x.shape.c;
  channel_sums(
      x.shape.rows(), channels,
      [=](int row, int c) {
        const int i = row * channels + c;
        return Terms{double(dy[i]) * (x[i] / (l.norms[row] + l.epsilon)), 0};
      },
      [=](int c, Terms sum) { dscale[c] += float(sum.first); });
}

}  // namespace cpu

class L2NormLayer final : public Layer, public OnnxLayer {
 public:
  void keys(Keys& k) override {
    k.real("scale", initial_scale_, 0)
        .at_least(0)
        .shown_as("none")
        .help("where the learned factor of each channel starts; without it there are none, as in Darknet");
    k.real("eps", norm_.epsilon, 1e-10f).more_than(0).help("added to the length");
  }

  void plan(Plan& p) override {
    const Shape in = p.input(), channels{1, 1, 1, in.c};
    p.output(in);
    p.backward_reads_input();
    p.keep(norm_.norms, {in.n, in.h, in.w, 1});
    if (initial_scale_ == 0) return;
    p.parameter(scale_, scale_gradient_, channels, {.name = "scales", .fill = initial_scale_});
    if (p.training() && p.on_gpu()) p.scratch(partial_, l2norm_partial(in));
  }

  void forward(Stream& s) override { on(s, cpu::l2norm_forward, cuda::l2norm_forward)(s, x(), norm(), y); }
  void backward(Stream& s) override {
    if (scale_)
      on(s, cpu::l2norm_backward_scale, cuda::l2norm_backward_scale)(s, x(), norm(), dy, partial_,
                                                                     scale_gradient_);
    if (dx()) on(s, cpu::l2norm_backward_input, cuda::l2norm_backward_input)(s, x(), norm(), dy, dx());
  }

  std::string to_onnx(OnnxGraph& g) const override {
    const std::string length = g.add("ReduceL2", {g.x()}, {{"axes", OnnxGraph::Sides{1}}});
    const std::string unit = g.add("Div", {g.x(), g.shifted(length, norm_.epsilon)});
    return scale_ ? g.add("Mul", {unit, g.per_channel("scales", scale_)}) : unit;
  }

 private:
  L2Norm norm() const {
    L2Norm norm = norm_;
    norm.scale = scale_;
    return norm;
  }

  L2Norm norm_;
  float initial_scale_ = 0;
  View<float> scale_, scale_gradient_, partial_;
};

extern const LayerType l2norm = {"l2norm", nullptr, "the channels of each pixel at one length",
                                 make<L2NormLayer>};

}  // namespace osprey
