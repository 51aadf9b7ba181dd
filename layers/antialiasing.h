// The key `antialiasing`: a layer with a stride works out every pixel, blurs, and leaves pixels out then.
#pragma once

#include "cuda/blur.h"
#include "layers/layer.h"
#include "layers/onnx_graph.h"

namespace osprey {

class Antialiasing {
 public:
  void keys(Keys& k) {
    k.integer("antialiasing", kind_, 0)
        .between(0, 2)
        .help("1: every pixel is worked out, and a blur of 3x3 pixels has the stride; 2: a blur of 2x2");
  }
  bool on() const { return kind_ != 0; }

  // The blurred output of what is `sharp`, of the same type.
  Shape plan(Plan& p, Shape sharp, int stride_y, int stride_x, Type type) {
    sharp_ = sharp_gradient_ = {};
    if (!on()) return sharp;
    const int size = kind_ == 1 ? 3 : 2, padding = kind_ == 1 ? 1 : 0;
    blur_.window = {convolution_window(size, stride_y, padding, 1),
                    convolution_window(size, stride_x, padding, 1)};
    p.require(sharp.h + 2 * padding >= size && sharp.w + 2 * padding >= size, "antialiasing",
              fmt::format("a blur of {0}x{0} pixels does not fit into {1}", size, sharp.text()));
    if (p.training()) {
      p.keep(sharp_, sharp, type);
      p.scratch(sharp_gradient_, sharp, type);
    } else {
      p.scratch(sharp_, sharp, type);
    }
    return {sharp.n, blur_.window.h.outputs(sharp.h), blur_.window.w.outputs(sharp.w), sharp.c};
  }

  // What the layer writes instead of y, and reads instead of dy: themselves if there is no blur.
  Tensor sharp(Tensor y) const { return on() ? sharp_ : y; }
  Tensor sharp_gradient(Tensor dy) const { return on() ? sharp_gradient_ : dy; }

  void forward(Stream& s, Tensor y) const {
    if (on()) osprey::on(s, cpu::blur_forward, cuda::blur_forward)(s, sharp_, y, blur_);
  }
  void backward(Stream& s, Tensor dy) const {
    if (on()) osprey::on(s, cpu::blur_backward, cuda::blur_backward)(s, dy, sharp_gradient_, blur_);
  }

  // The blur is a convolution of each channel for itself.
  std::string to_onnx(OnnxGraph& g, const std::string& x, int channels) const {
    if (!on()) return x;
    const int size = blur_.window.h.size;
    std::vector<float> weights;
    for (int tap = 0; tap < channels * size * size; ++tap)
      weights.push_back(blur_.weight(tap / size % size, tap % size));
    OnnxGraph::Attributes attributes = OnnxGraph::window(blur_.window);
    attributes.push_back({"group", int64_t(channels)});
    return g.add("Conv", {x, g.constant("blur", {channels, 1, size, size}, weights)}, attributes);
  }

 private:
  int kind_ = 0;
  Blur blur_;
  Tensor sharp_, sharp_gradient_;
};

}  // namespace osprey
