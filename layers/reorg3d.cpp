// [reorg3d]: each block of s x s pixels becomes channels, [N,H,W,C] -> [N, H/s, W/s, s s C], with output
// channel (dy s + dx) C + c: a plain space-to-depth. reverse=1 is AlexeyAB's: it undoes a [reorg], not a
// [reorg3d], whose inverse is [reorg] with reverse=1.

#include "cuda/reorg.h"
#include "layers/layer.h"
#include "layers/reorg_onnx.h"

namespace osprey {

class Reorg3d final : public Layer, public OnnxLayer {
 public:
  void keys(Keys& k) override {
    k.integer("stride", reorg_.stride, 1).between(1, 1024).help("side of the block of pixels");
    k.flag("reverse", reorg_.reverse, false).help("from channels to pixels: undoes a [reorg]");
  }

  void plan(Plan& p) override {
    const Shape in = p.input();
    const int s = reorg_.stride;
    if (reorg_.reverse) {
      p.require(
          in.c % (int64_t(s) * s * s * s) == 0, "stride",
          fmt::format("the {} channels of the input must be a multiple of stride to the power of 4", in.c));
      p.output({in.n, in.h * s, in.w * s, in.c / (s * s)});
    } else {
      p.require(in.h % s == 0 && in.w % s == 0, "stride",
                fmt::format("an input of {} cannot be cut into blocks of {}x{}", in.text(), s, s));
      p.output({in.n, in.h / s, in.w / s, in.c * s * s});
    }
    reorg_.frame = p.output_shape();
  }

  void forward(Stream& s) override { on(s, cpu::reorg_forward, cuda::reorg_forward)(s, x(), y, reorg_); }
  void backward(Stream& s) override {
    if (dx()) on(s, cpu::reorg_backward, cuda::reorg_backward)(s, dy, dx(), reorg_);
  }

  LayerSummary summary() const override { return {0, fmt::format("/{}", reorg_.stride), 0}; }

  std::string to_onnx(OnnxGraph& g) const override { return reorg_to_onnx(g, reorg_, y.shape); }

 private:
  Reorg reorg_;
};

extern const LayerType reorg3d = {"reorg3d", nullptr, "blocks of pixels become channels", make<Reorg3d>};

}  // namespace osprey
