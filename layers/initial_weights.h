// How the weights of [convolutional] and [connected] start: the keys that say so, and the distributions.
#pragma once

#include <cmath>

#include "layers/layer.h"

namespace osprey {

class InitialWeights {
 public:
  void keys(Keys& k) {
    k.choice("init", kind_, Kind::darknet, kNames)
        .help(
            "initial weights. darknet: uniform within sqrt(2 / inputs); he: normal, of deviation sqrt(2 / "
            "outputs); xavier: uniform within sqrt(6 / (inputs + outputs)); caffe_xavier: uniform within "
            "sqrt(3 / inputs); where inputs and outputs are those of a pixel or a value");
    k.real("weights_deviation", deviation_, 0)
        .at_least(0)
        .help("not 0: initial weights are normal, of mean 0 and this deviation, whatever init says");
    k.real("bias_init", bias_, 0).help("initial biases, also those of batch norm");
  }

  float bias() const { return bias_; }

  // Weights [filters, h, w, inputs]. He, Zhang, Ren and Sun, "Delving deep into rectifiers", 2015; Glorot and
  // Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010, and Caffe's
  // form of that.
  void set(ParameterInfo& info, Shape weights) const {
    const float window = float(weights.h) * float(weights.w);
    const float inputs = window * float(weights.c), outputs = window * float(weights.n);
    info.uniform = info.normal = 0;
    if (deviation_ > 0)
      info.normal = deviation_;
    else if (kind_ == Kind::he)
      info.normal = std::sqrt(2 / outputs);
    else if (kind_ == Kind::xavier)
      info.uniform = std::sqrt(6 / (inputs + outputs));
    else
      info.uniform = std::sqrt((kind_ == Kind::caffe_xavier ? 3 : 2) / inputs);
  }

 private:
  enum class Kind { darknet, he, xavier, caffe_xavier };
  static constexpr const char* kNames[] = {"darknet", "he", "xavier", "caffe_xavier"};

  Kind kind_ = Kind::darknet;
  float deviation_ = 0, bias_ = 0;
};

}  // namespace osprey
