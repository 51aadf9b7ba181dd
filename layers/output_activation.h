// The activation at the end of a layer, with what its backward needs: nothing for linear, the output itself
// where the slope can be told from it, otherwise the values before the activation, kept.
#pragma once

#include "cuda/activation.h"
#include "layers/layer.h"

namespace osprey {

// Whether slope(a, activate(a, x)) equals slope(a, x) for every x: so for functions that keep the piece x
// lies on.
inline bool slope_from_output(Activation a) {
  switch (a) {
    case Activation::linear:
    case Activation::relu:
    case Activation::relu6:
    case Activation::relie:
    case Activation::ramp:
    case Activation::leaky:
    case Activation::revleaky:
    case Activation::hardtan:
      return true;
    default:
      return false;
  }
}

class OutputActivation {
 public:
  Activation kind = Activation::linear;

  // Declares key `activation`; Darknet's default differs from section to section.
  void keys(Keys& k, Activation otherwise) {
    k.choice("activation", kind, otherwise, kLayerActivations.names)
        .help("the function of each output value");
  }

  // Call after p.output().
  void plan(Plan& p) {
    before_ = {};
    if (kind == Activation::linear) return;
    if (slope_from_output(kind))
      p.backward_reads_output();
    else
      p.keep(before_, p.output_shape(), p.output_type());
  }

  // Where the layer writes its values before the activation.
  Tensor target(Tensor y) const { return before_ ? before_ : y; }

  void forward(Stream& s, Tensor y) const {
    if (kind != Activation::linear)
      on(s, cpu::activation_forward, cuda::activation_forward)(s, target(y), y, kind);
  }
  // Turns dy into the gradient before the activation, in place.
  void backward(Stream& s, Tensor y, Tensor dy) const {
    if (kind != Activation::linear)
      on(s, cpu::activation_backward, cuda::activation_backward)(s, target(y), dy, dy, kind);
  }

 private:
  Tensor before_;
};

}  // namespace osprey
