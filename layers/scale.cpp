// [scale]: all values times one learned number.
//
//   y = scale x,   dx = scale dy,   dscale = sum(dy x)
//
// "FCOS", Tian et al., ICCV 2019, section 3.2: levels of a pyramid that share their head each have a number
// of their own, since what the head says of a box is in units of the level.

#include "cuda/scale.h"

#include "core/parallel.h"
#include "layers/channel_sums.h"
#include "layers/layer.h"
#include "layers/onnx_graph.h"
#include "layers/vector_loop.h"

namespace osprey {
namespace cpu {

constexpr int kGrain = 16384;  // values worth a thread of their own

void scale_forward(Stream&, View<const float> x, View<const float> scale, View<float> y) {
  const float factor = scale[0];
  parallel_for(x.size(), kGrain, [=](int64_t first, int64_t last) {
    VECTOR_LOOP
    for (int i = int(first); i < int(last); ++i) y[i] = factor * x[i];
  });
}

void scale_backward(Stream&, View<const float> x, View<const float> scale, View<const float> dy,
                    View<float> dx, View<float>, View<float> dscale) {
  const float factor = scale[0];
  const int channels = x.shape.c;
  double sum = 0;
  channel_sums(
      x.shape.rows(), channels,
      [=](int row, int c) {
        const int i = row * channels + c;
        return Terms{double(dy[i]) * x[i], 0};
      },
      [&](int, Terms of_channel) { sum += of_channel.first; });
  dscale[0] += float(sum);
  if (!dx) return;
  parallel_for(dx.size(), kGrain, [=](int64_t first, int64_t last) {
    VECTOR_LOOP
    for (int i = int(first); i < int(last); ++i) dx[i] += factor * dy[i];
  });
}

}  // namespace cpu

class ScaleLayer final : public Layer, public OnnxLayer {
 public:
  void keys(Keys& k) override { k.real("init", initial_, 1).help("where the learned number starts"); }

  void plan(Plan& p) override {
    p.output(p.input());
    p.parameter(scale_, scale_gradient_, {1, 1, 1, 1},
                {.name = "scale", .role = Role::offset, .fill = initial_});
    if (!p.training()) return p.in_place();
    p.backward_reads_input();
    if (p.on_gpu()) p.scratch(partial_, scale_partial(p.input()));
  }

  bool passes_type_on() const override { return true; }

  void forward(Stream& s) override { on(s, cpu::scale_forward, cuda::scale_forward)(s, x(), scale_, y); }
  void backward(Stream& s) override {
    on(s, cpu::scale_backward, cuda::scale_backward)(s, x(), scale_, dy, dx(), partial_, scale_gradient_);
  }

  std::string to_onnx(OnnxGraph& g) const override { return g.scaled(g.x(), scale_[0]); }

 private:
  float initial_ = 1;
  View<float> scale_, scale_gradient_, partial_;
};

extern const LayerType scale = {"scale", nullptr, "all values times one learned number", make<ScaleLayer>};

}  // namespace osprey
