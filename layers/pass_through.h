// A layer whose output is its input, in the same memory where that is possible.
#pragma once

#include "cuda/activation.h"
#include "layers/layer.h"
#include "layers/onnx_graph.h"

namespace osprey {

class PassThrough : public Layer, public OnnxLayer {
 public:
  void keys(Keys&) override {}

  void plan(Plan& p) override {
    p.output(p.input());
    p.alias();
  }

  void forward(Stream& s) override {
    if (y.data != x().data)
      on(s, cpu::activation_forward, cuda::activation_forward)(s, x(), y, Activation::linear);
  }
  void backward(Stream& s) override {
    if (dx() && dx().data != dy.data)
      on(s, cpu::activation_backward, cuda::activation_backward)(s, dy, dy, dx(), Activation::linear);
  }

  bool passes_type_on() const override { return true; }

  std::string to_onnx(OnnxGraph& g) const override { return g.x(); }
};

}  // namespace osprey
