// [implicit]: learned numbers that no image changes, [N, atoms, 1, filters] of the same for every image, for
// a [shortcut] to add or a [scale_channels] to multiply. Wang, Yeh and Liao, "You only learn one
// representation", 2021. It reads no layer.

#include "cuda/implicit.h"

#include "cuda/convolution.h"
#include "layers/layer.h"
#include "layers/onnx_graph.h"

namespace osprey {
namespace cpu {

void implicit_forward(Stream&, View<const float> weights, View<float> y) {
  for (int i = 0; i < y.size(); ++i) y[i] = weights[i % weights.size()];
}

}  // namespace cpu

class Implicit final : public Layer, public OnnxLayer {
 public:
  void keys(Keys& k) override {
    k.integer("filters", filters_, 128).at_least(1).help("channels of the output");
    k.integer("atoms", atoms_, 1).at_least(1).help("rows of the output");
    k.real("mean", mean_, 0).help("of the initial values");
    k.real("std", deviation_, 0.2f).at_least(0).help("standard deviation of the initial values");
  }
  std::vector<std::string> sources() const override { return {}; }

  void plan(Plan& p) override {
    p.require(from.empty(), "from", "from has no meaning here: no layer changes the numbers");
    p.output({p.options().network_input.n, atoms_, 1, filters_}, p.wanted_type());
    p.parameter(weights_, gradients_, {1, atoms_, 1, filters_},
                {.name = "weights", .order = FileOrder::convolution, .fill = mean_, .normal = deviation_});
    values_ = {p.output_shape().n, 1, 1, atoms_ * filters_};
    if (p.training() && p.on_gpu()) p.scratch(partial_, bias_partial(values_));
  }

  void forward(Stream& s) override { on(s, cpu::implicit_forward, cuda::implicit_forward)(s, weights_, y); }
  void backward(Stream& s) override {
    on(s, cpu::bias_backward, cuda::bias_backward)(s, Tensor{dy.data, values_, dy.type}, gradients_,
                                                   partial_);
  }

  bool converts() const override { return true; }

  // As many of them as there are images: what reads them need not know where they come from.
  std::string to_onnx(OnnxGraph& g) const override {
    const std::string images = g.slice(g.add("Shape", {"images"}), 0, 0, 1);
    const std::string sides = g.concatenated({images, g.integers({filters_, atoms_, 1})}, 0);
    return g.add("Expand", {g.weights(weights_), sides});
  }

 private:
  int filters_ = 128, atoms_ = 1;
  float mean_ = 0, deviation_ = 0.2f;
  Shape values_;  // of y, as one row for each image
  View<float> weights_, gradients_, partial_;
};

extern const LayerType implicit = {"implicit", nullptr, "learned numbers, the same for every image",
                                   make<Implicit>};

}  // namespace osprey
