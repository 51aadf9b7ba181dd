// [empty]: does nothing, and counts as a layer.

#include "cuda/activation.h"
#include "layers/layer.h"

namespace osprey {

class Empty final : public Layer {
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
};

extern const LayerType empty = {"empty", "silence blank", "does nothing, and counts as a layer", make<Empty>};

}  // namespace osprey
