// [reorg]: pixels become channels, [N,H,W,C] -> [N, H/s, W/s, C s s], in the order that Darknet's YOLOv2 was
// trained with (cuda/reorg.h): not a plain space-to-depth, which is [reorg3d]. reverse=1 goes back to
// larger images, [N, H s, W s, C/(s s)], as a plain depth-to-space.

#include "cuda/reorg.h"

#include "core/parallel.h"
#include "layers/layer.h"

namespace osprey {
namespace cpu {
namespace {

constexpr int kGrain = 8192;  // values worth a thread of their own

}  // namespace

void reorg_forward(Stream&, View<const float> x, View<float> y, Reorg reorg) {
  parallel_for(y.size(), kGrain, [=](int64_t first, int64_t last) {
    for (int i = int(first); i < int(last); ++i) y[i] = x[reorg.source(x.shape, y.shape, i)];
  });
}

// Each value has one place to go, so no two threads meet.
void reorg_backward(Stream&, View<const float> dy, View<float> dx, Reorg reorg) {
  parallel_for(dy.size(), kGrain, [=](int64_t first, int64_t last) {
    for (int i = int(first); i < int(last); ++i) dx[reorg.source(dx.shape, dy.shape, i)] += dy[i];
  });
}

}  // namespace cpu

class ReorgLayer final : public Layer {
 public:
  void keys(Keys& k) override {
    k.integer("stride", reorg_.stride, 1).between(1, 1024).help("side of the block of pixels");
    k.flag("reverse", reorg_.reverse, false).help("from channels to pixels");
    k.flag("flatten", flatten_, false).help("pjreddie's exchange of channels and pixels: not supported yet");
    k.integer("extra", extra_, 0).help("pjreddie's zeros at the end: not supported yet");
  }

  void plan(Plan& p) override {
    p.require(!flatten_, "flatten", "flatten is not supported yet: expected 0");
    p.require(extra_ == 0, "extra", "extra is not supported yet: expected 0");
    const Shape in = p.input();
    const int s = reorg_.stride;
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

 private:
  Reorg reorg_;
  bool flatten_ = false;
  int extra_ = 0;
};

extern const LayerType reorg = {"reorg", nullptr, "pixels become channels, in the order of YOLOv2",
                                make<ReorgLayer>};

}  // namespace osprey
