// [local_avgpool]: the mean of each channel under a sliding window, whose shape follows Darknet's rules for
// [maxpool]. The padding does not count: a window at the edge is divided by the pixels it has. Darknet's
// backward divides by size x size there, too; ours is the derivative.

#include "cuda/avgpool.h"
#include "layers/averaging_onnx.h"
#include "layers/layer.h"
#include "layers/pooling_window.h"

namespace osprey {

class LocalAvgPool final : public Layer, public OnnxLayer {
 public:
  void keys(Keys& k) override { pooling_.keys(k); }

  void plan(Plan& p) override {
    averaging_ = {pooling_.plan(p), false};
    const Shape in = p.input();
    output_ = {in.n, averaging_.window.h.outputs(in.h), averaging_.window.w.outputs(in.w), in.c};
    p.output(output_, p.wanted_type());
  }

  void forward(Stream& s) override {
    on(s, cpu::avgpool_windows_forward, cuda::avgpool_windows_forward)(s, x(), y, averaging_);
  }
  void backward(Stream& s) override {
    if (dx()) on(s, cpu::avgpool_windows_backward, cuda::avgpool_windows_backward)(s, dy, dx(), averaging_);
  }

  bool converts() const override { return true; }
  LayerSummary summary() const override { return pooling_.summary(output_); }

  std::string to_onnx(OnnxGraph& g) const override {
    return averaging_to_onnx(g, averaging_, x().shape, output_);
  }

 private:
  PoolingWindow pooling_;
  Averaging averaging_;
  Shape output_;
};

extern const LayerType local_avgpool = {
    "local_avgpool", "local_avg", "the mean of each channel under a sliding window, as [maxpool] slides",
    make<LocalAvgPool>};

}  // namespace osprey
