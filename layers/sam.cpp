// [sam]: the layer before times the layer `from`, value by value, then an activation: YOLOv4's form of the
// spatial attention of Woo et al., "CBAM", 2018.

#include "cuda/sam.h"

#include "core/parallel.h"
#include "layers/layer.h"
#include "layers/onnx_graph.h"
#include "layers/output_activation.h"
#include "layers/vector_loop.h"

namespace osprey {
namespace cpu {

constexpr int kGrain = 16384;  // values worth a thread of their own

void sam_forward(Stream&, View<const float> a, View<const float> b, View<float> y) {
  parallel_for(y.size(), kGrain, [=](int64_t first, int64_t last) {
    VECTOR_LOOP
    for (int i = int(first); i < int(last); ++i) y[i] = a[i] * b[i];
  });
}

void sam_backward(Stream&, View<const float> other, View<const float> dy, View<float> dx) {
  parallel_for(dx.size(), kGrain, [=](int64_t first, int64_t last) {
    VECTOR_LOOP
    for (int i = int(first); i < int(last); ++i) dx[i] += other[i] * dy[i];
  });
}

}  // namespace cpu

class Sam final : public Layer, public OnnxLayer {
 public:
  void keys(Keys& k) override { activation_.keys(k, Activation::linear); }

  std::vector<std::string> sources() const override {
    std::vector<std::string> all = {"-1"};
    all.insert(all.end(), from.begin(), from.end());
    return all;
  }

  void plan(Plan& p) override {
    p.require(p.inputs() == 2, "from", "from must be given: the one layer to multiply");
    p.require(p.input(0) == p.input(1), "from",
              fmt::format("layer `{}` is {} and the layer before is {}: they must be equal", sources().at(1),
                          p.input(1).text(), p.input(0).text()));
    p.output(p.input());
    if (!p.training()) p.in_place();
    p.backward_reads_input(0);
    p.backward_reads_input(1);
    activation_.plan(p);
  }

  void forward(Stream& s) override {
    on(s, cpu::sam_forward, cuda::sam_forward)(s, x(0), x(1), activation_.target(y));
    activation_.forward(s, y);
  }
  void backward(Stream& s) override {
    activation_.backward(s, y, dy);
    if (dx(0)) on(s, cpu::sam_backward, cuda::sam_backward)(s, x(1), dy, dx(0));
    if (dx(1)) on(s, cpu::sam_backward, cuda::sam_backward)(s, x(0), dy, dx(1));
  }

  std::string to_onnx(OnnxGraph& g) const override {
    return g.activation(g.add("Mul", {g.x(0), g.x(1)}), activation_.kind);
  }

 private:
  OutputActivation activation_;
};

extern const LayerType sam = {"sam", nullptr, "two layers multiplied, then an activation", make<Sam>};

}  // namespace osprey
