// [logistic]: y = 1 / (1 + e^-x), each value for itself, and in training the cross entropy against the
// network's targets, as pjreddie's Darknet has it: a classifier of labels that do not exclude each other.
//
//   loss = sum of -t ln y - (1 - t) ln (1 - y)        dx = y - t

#include "cuda/logistic.h"

#include "cuda/activation.h"
#include "layers/layer.h"
#include "layers/onnx_graph.h"

namespace osprey {
namespace cpu {

void logistic_cross_entropy(Stream&, View<const float> x, View<const float> targets, LossReport* report) {
  double loss = 0;
  for (int i = 0; i < x.size(); ++i) loss += osprey::logistic_cross_entropy(x[i], targets[i]);
  report->loss += loss;
  report->class_loss += loss;
}

void logistic_backward(Stream&, View<const float> y, View<const float> targets, View<const float> dy,
                       View<float> dx) {
  for (int i = 0; i < dx.size(); ++i) dx[i] += y[i] - targets[i] + (dy ? dy[i] * y[i] * (1 - y[i]) : 0.0f);
}

}  // namespace cpu

class Logistic final : public Layer, public OnnxLayer {
 public:
  void keys(Keys&) override {}

  void plan(Plan& p) override {
    p.output(p.input());
    p.in_place();
    p.backward_reads_output();
    if (!p.training()) return;
    p.targets(targets_, p.input());
    p.loss(report_);
  }

  // The loss comes first: y may lie where x does.
  void forward(Stream& s) override {
    if (targets_) on(s, cpu::logistic_cross_entropy, cuda::logistic_cross_entropy)(s, x(), targets_, report_);
    on(s, cpu::activation_forward, cuda::activation_forward)(s, x(), y, Activation::logistic);
  }
  void backward(Stream& s) override {
    if (dx()) on(s, cpu::logistic_backward, cuda::logistic_backward)(s, y, targets_, dy, dx());
  }

  bool has_loss() const override { return true; }

  std::string to_onnx(OnnxGraph& g) const override { return g.activation(g.x(), Activation::logistic); }

 private:
  View<float> targets_;
  LossReport* report_ = nullptr;
};

extern const LayerType logistic_layer = {"logistic", nullptr,
                                         "the logistic of each value, and its cross entropy", make<Logistic>};

}  // namespace osprey
