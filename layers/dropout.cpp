// [dropout]: in training, each value becomes 0 with `probability`, and is divided by (1 - probability)
// otherwise, so that its mean stays (Srivastava et al., "Dropout", 2014). In inference nothing changes.
//
// The mask is not kept: it is a function of the seed, the pass, the layer and the position, drawn again in
// backward.

#include "cuda/dropout.h"

#include "core/parallel.h"
#include "cuda/activation.h"
#include "layers/layer.h"
#include "layers/onnx_graph.h"

namespace osprey {

namespace cpu {
namespace {

// visit(i, factor) for every value.
template <class Visit>
void for_each_factor(int size, const Step& step, const Dropout& dropout, Visit&& visit) {
  constexpr int kBlock = Dropout::kBlock;
  parallel_for((size + kBlock - 1) / kBlock, 4096, [=, &step](int64_t first, int64_t last) {
    for (int64_t block = first; block < last; ++block) {
      Random random = dropout.random(step, block);
      for (int i = int(block) * kBlock; i < size && i < int(block + 1) * kBlock; ++i)
        visit(i, dropout.factor(random));
    }
  });
}

}  // namespace

void dropout_forward(Stream&, View<const float> x, View<float> y, const Step* step, Dropout dropout) {
  for_each_factor(y.size(), *step, dropout, [=](int i, float factor) { y[i] = factor * x[i]; });
}

void dropout_backward(Stream&, View<const float> dy, View<float> dx, const Step* step, Dropout dropout) {
  const bool in_place = dx.data == dy.data;
  for_each_factor(dy.size(), *step, dropout,
                  [=](int i, float factor) { dx[i] = (in_place ? 0 : dx[i]) + factor * dy[i]; });
}

}  // namespace cpu

class DropoutLayer final : public Layer, public OnnxLayer {
 public:
  void keys(Keys& k) override {
    k.real("probability", dropout_.probability, 0.2f).between(0, 1).help("of a value to become 0");
    k.flag("dropblock", dropblock_, false)
        .help("1: blocks of pixels become 0 together: not supported in training; no effect on detection");
    float relative = 0;
    k.real("dropblock_size_rel", relative, 0).help("dropblock: side of a block, of the image's");
    int size = 7;
    k.integer("dropblock_size_abs", size, 7).help("dropblock: side of a block in pixels");
  }

  void plan(Plan& p) override {
    p.require(dropout_.probability < 1, "probability",
              "probability must be less than 1: nothing would be left");
    p.output(p.input());
    training_ = p.training() && !p.options().losses_only;
    dropout_.layer = uint64_t(p.line());
    if (training_) {
      p.step(step_);
      p.in_place();
    } else {
      p.alias();
    }
  }

  void forward(Stream& s) override {
    if (training_)
      on(s, cpu::dropout_forward, cuda::dropout_forward)(s, x(), y, step_, dropout_);
    else if (y.data != x().data)
      on(s, cpu::activation_forward, cuda::activation_forward)(s, x(), y, Activation::linear);
  }
  void backward(Stream& s) override {
    if (dx()) on(s, cpu::dropout_backward, cuda::dropout_backward)(s, dy, dx(), step_, dropout_);
  }

  const char* why_not_trained() const override {
    return dropblock_ ? "dropblock=1 is not supported in training: remove it, and single values are dropped"
                      : nullptr;
  }

  LayerSummary summary() const override { return {0, fmt::format("p = {:.2f}", dropout_.probability), 0}; }

  std::string to_onnx(OnnxGraph& g) const override { return g.x(); }

 private:
  Dropout dropout_{0.2f, 0};
  bool dropblock_ = false, training_ = false;
  const Step* step_ = nullptr;
};

extern const LayerType dropout = {"dropout", nullptr, "drops values at random, in training",
                                  make<DropoutLayer>};

}  // namespace osprey
