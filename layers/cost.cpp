// [cost]: the difference of the network's targets and the layer before, which passes through unchanged.
//
//   d = target - x      sse: loss d^2      L1: |d|      smooth: d^2 where |d| < 1, else 2|d| - 1
//
// masked is sse without the values whose target is -1234. The gradient of x is -scale times d, sign(d), and d
// where |d| < 1 else sign(d): Darknet's, which drops the factor 2 of squares.

#include "cuda/cost.h"

#include "cuda/activation.h"
#include "layers/layer.h"
#include "layers/onnx_graph.h"

namespace osprey {
namespace cpu {

void cost_forward(Stream&, View<const float> x, View<const float> targets, CostType type,
                  LossReport* report) {
  double loss = 0;
  for (int i = 0; i < x.size(); ++i) loss += cost_of(type, x[i], targets[i]).loss;
  report->loss += loss;
}

void cost_backward(Stream&, View<const float> x, View<const float> targets, View<const float> dy,
                   View<float> dx, CostType type, float scale) {
  const bool add = dy && dy.data != dx.data;
  for (int i = 0; i < x.size(); ++i)
    dx[i] += (add ? dy[i] : 0) - scale * cost_of(type, x[i], targets[i]).step;
}

}  // namespace cpu

class Cost final : public Layer, public OnnxLayer {
 public:
  void keys(Keys& k) override {
    k.choice("type", type_, CostType::sse, kTypes).help("how differences are counted");
    k.real("scale", scale_, 1).help("factor of the gradient");
    k.real("ratio", ratio_, 0).help("the part of the gradients that is kept: not supported yet");
  }

  void plan(Plan& p) override {
    p.require(ratio_ == 0, "ratio", "ratio is not supported yet: expected 0");
    p.output(p.input());
    p.alias();
    p.backward_reads_input();
    if (!p.training()) return;
    p.targets(targets_, p.input());
    p.loss(report_);
  }

  void forward(Stream& s) override {
    if (y.data != x().data)
      on(s, cpu::activation_forward, cuda::activation_forward)(s, x(), y, Activation::linear);
    if (targets_) on(s, cpu::cost_forward, cuda::cost_forward)(s, x(), targets_, type_, report_);
  }
  void backward(Stream& s) override {
    if (dx()) on(s, cpu::cost_backward, cuda::cost_backward)(s, x(), targets_, dy, dx(), type_, scale_);
  }

  bool has_loss() const override { return true; }

  std::string to_onnx(OnnxGraph& g) const override { return g.x(); }

 private:
  static constexpr const char* kTypes[] = {"sse", "masked", "smooth", "L1"};

  CostType type_ = CostType::sse;
  float scale_ = 1, ratio_ = 0;
  View<float> targets_;
  LossReport* report_ = nullptr;
};

extern const LayerType cost = {"cost", nullptr, "the difference from the network's targets", make<Cost>};

}  // namespace osprey
