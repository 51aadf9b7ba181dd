// [reorg]: pixels become channels, [N,H,W,C] -> [N, H/s, W/s, C s s], in the order that Darknet's YOLOv2 was
// trained with (cuda/reorg.h): not a plain space-to-depth, which is [reorg3d]. reverse=1 goes back to
// larger images, [N, H s, W s, C/(s s)], as a plain depth-to-space. pjreddie's flatten and extra:
// cuda/reorg.h.

#include "cuda/reorg.h"

#include "core/parallel.h"
#include "layers/layer.h"
#include "layers/onnx_graph.h"
#include "layers/reorg_onnx.h"

namespace osprey {
namespace cpu {
namespace {

constexpr int kGrain = 8192;  // values worth a thread of their own

}  // namespace

void reorg_forward(Stream&, View<const float> x, View<float> y, Reorg reorg) {
  parallel_for(y.size(), kGrain, [=](int64_t first, int64_t last) {
    for (int i = int(first); i < int(last); ++i) {
      const int from = reorg.source(x.shape, y.shape, i);
      y[i] = from < 0 ? 0 : x[from];
    }
  });
}

// Each value has one place to go, so no two threads meet.
void reorg_backward(Stream&, View<const float> dy, View<float> dx, Reorg reorg) {
  parallel_for(dy.size(), kGrain, [=](int64_t first, int64_t last) {
    for (int i = int(first); i < int(last); ++i)
      if (const int to = reorg.source(dx.shape, dy.shape, i); to >= 0) dx[to] += dy[i];
  });
}

}  // namespace cpu

// The numbers c, h, w of cuda/reorg.h as axes: `far` counts [m, h, s, w, s], and `near` [s, s, m, h, w].
std::string reorg_to_onnx(OnnxGraph& g, const Reorg& reorg, Shape out) {
  const int64_t s = reorg.stride, h = reorg.frame.h, w = reorg.frame.w, m = reorg.frame.c / (s * s);
  const std::string moved = reorg.reverse
                                ? g.transposed(g.reshaped(g.x(), {0, s, s, m, h, w}), {0, 3, 4, 1, 5, 2})
                                : g.transposed(g.reshaped(g.x(), {0, m, h, s, w, s}), {0, 3, 5, 1, 2, 4});
  return g.reshaped(moved, {0, out.c, out.h, out.w});
}

class ReorgLayer final : public Layer, public OnnxLayer {
 public:
  void keys(Keys& k) override {
    k.integer("stride", reorg_.stride, 1).between(1, 1024).help("side of the block of pixels");
    k.flag("reverse", reorg_.reverse, false).help("from channels to pixels");
    k.flag("flatten", reorg_.flatten, false)
        .help(
            "1: values in the order c, h, w are put into the order h, w, c, or with reverse=1 back; needs "
            "stride=1");
    k.integer("extra", reorg_.extra, 0)
        .between(0, 65536)
        .help("so many zeros are appended, and the output is one row of values; needs stride=1");
  }

  void plan(Plan& p) override {
    const Shape in = p.input();
    const int s = reorg_.stride;
    p.require(!reorg_.flatten || s == 1, "flatten",
              "flatten=1 goes with stride=1: it only changes the order");
    p.require(reorg_.extra == 0 || (s == 1 && !reorg_.flatten && !reorg_.reverse), "extra",
              "extra only appends zeros: it goes with stride=1, without flatten and reverse");
    if (reorg_.extra > 0) return p.output({in.n, 1, 1, in.h * in.w * in.c + reorg_.extra});
    p.require(in.c % (s * s) == 0, "stride",
              fmt::format("the {} channels of the input must be a multiple of stride x stride", in.c));
    if (reorg_.reverse) {
      p.output({in.n, in.h * s, in.w * s, in.c / (s * s)});
    } else {
      p.require(in.h % s == 0 && in.w % s == 0, "stride",
                fmt::format("an input of {} cannot be cut into blocks of {}x{}", in.text(), s, s));
      p.output({in.n, in.h / s, in.w / s, in.c * s * s});
    }
    reorg_.frame = in;
  }

  void forward(Stream& s) override { on(s, cpu::reorg_forward, cuda::reorg_forward)(s, x(), y, reorg_); }
  void backward(Stream& s) override {
    if (dx()) on(s, cpu::reorg_backward, cuda::reorg_backward)(s, dy, dx(), reorg_);
  }

  LayerSummary summary() const override { return {0, fmt::format("/{}", reorg_.stride), 0}; }

  std::string to_onnx(OnnxGraph& g) const override {
    const Shape in = x().shape;
    if (reorg_.extra > 0)
      return g.padded(g.reshaped(g.x(), {0, -1, 1, 1}), {0, 0, 0, 0}, {0, reorg_.extra, 0, 0});
    if (!reorg_.flatten) return reorg_to_onnx(g, reorg_, y.shape);
    const int pixels = in.h * in.w;
    const OnnxGraph::Sides matrix =
        reorg_.reverse ? OnnxGraph::Sides{0, pixels, in.c} : OnnxGraph::Sides{0, in.c, pixels};
    return g.reshaped(g.transposed(g.reshaped(g.x(), matrix), {0, 2, 1}), {0, in.c, in.h, in.w});
  }

 private:
  Reorg reorg_;
};

extern const LayerType reorg = {"reorg", nullptr, "pixels become channels, in the order of YOLOv2",
                                make<ReorgLayer>};

}  // namespace osprey
