// [upsample]: each pixel becomes a block of stride x stride equal pixels, times `scale`. A negative stride
// goes the other way: each block becomes the sum of its pixels (Darknet; not the mean), times `scale`.

#include "cuda/upsample.h"

#include <algorithm>

#include "core/parallel.h"
#include "layers/layer.h"
#include "layers/vector_loop.h"

namespace osprey {
namespace cpu {
namespace {

constexpr int kGrain = 16384;  // values worth a thread of their own

int64_t rows_per_thread(Shape s) { return 1 + kGrain / (int64_t(s.w) * s.c); }

// The source of output i of n from m inputs is floor(i m / n); this is the first output of a source.
int first_of(int source, int m, int n) { return int((int64_t(source) * n + m - 1) / m); }
int source_of(int i, int m, int n) { return int(int64_t(i) * m / n); }

}  // namespace

void upsample_forward(Stream&, View<const float> x, View<float> y, float scale) {
  const Shape in = x.shape, out = y.shape;
  parallel_for(out.n * out.h, rows_per_thread(out), [=](int64_t first, int64_t last) {
    for (int row = int(first); row < int(last); ++row) {
      const int n = row / out.h, oh = row % out.h;
      for (int ow = 0; ow < out.w; ++ow) {
        const int from = in.index(n, source_of(oh, in.h, out.h), source_of(ow, in.w, out.w), 0);
        const int to = out.index(n, oh, ow, 0);
        VECTOR_LOOP
        for (int c = 0; c < out.c; ++c) y[to + c] = scale * x[from + c];
      }
    }
  });
}

// Each input gathers from its block of outputs, so that no two threads write one value.
void upsample_backward(Stream&, View<const float> dy, View<float> dx, float scale) {
  const Shape in = dx.shape, out = dy.shape;
  parallel_for(in.n * in.h, rows_per_thread({1, 1, in.w, in.c * (1 + out.h / in.h * (out.w / in.w))}),
               [=](int64_t first, int64_t last) {
                 for (int row = int(first); row < int(last); ++row) {
                   const int n = row / in.h, h = row % in.h;
                   for (int w = 0; w < in.w; ++w) {
                     const int to = in.index(n, h, w, 0);
                     for (int oh = first_of(h, in.h, out.h); oh < first_of(h + 1, in.h, out.h); ++oh) {
                       for (int ow = first_of(w, in.w, out.w); ow < first_of(w + 1, in.w, out.w); ++ow) {
                         const int from = out.index(n, oh, ow, 0);
                         VECTOR_LOOP
                         for (int c = 0; c < in.c; ++c) dx[to + c] += scale * dy[from + c];
                       }
                     }
                   }
                 }
               });
}

void downsample_forward(Stream& s, View<const float> x, View<float> y, float scale) {
  std::fill(y.begin(), y.end(), 0.0f);
  upsample_backward(s, x, y, scale);
}

void downsample_backward(Stream&, View<const float> dy, View<float> dx, float scale) {
  const Shape in = dx.shape, out = dy.shape;
  parallel_for(in.n * in.h, rows_per_thread(in), [=](int64_t first, int64_t last) {
    for (int row = int(first); row < int(last); ++row) {
      const int n = row / in.h, h = row % in.h;
      for (int w = 0; w < in.w; ++w) {
        const int to = in.index(n, h, w, 0);
        const int from = out.index(n, source_of(h, out.h, in.h), source_of(w, out.w, in.w), 0);
        VECTOR_LOOP
        for (int c = 0; c < in.c; ++c) dx[to + c] += scale * dy[from + c];
      }
    }
  });
}

}  // namespace cpu

class Upsample final : public Layer {
 public:
  void keys(Keys& k) override {
    k.integer("stride", stride_, 2).help("how many times larger; negative: how many times smaller, by sums");
    k.real("scale", scale_, 1).help("factor of every value");
  }

  void plan(Plan& p) override {
    const Shape in = p.input();
    const int64_t times = stride_ < 0 ? -int64_t(stride_) : stride_;
    p.require(stride_ != 0 && times <= 65536, "stride",
              fmt::format("stride must be 1 to 65536, or -1 to -65536, not {}", stride_));
    if (stride_ > 0) {
      p.require(in.h * times < (1 << 30) && in.w * times < (1 << 30), "stride",
                "the output would be too large");
      p.output({in.n, int(in.h * times), int(in.w * times), in.c});
    } else {
      p.require(in.h % times == 0 && in.w % times == 0, "stride",
                fmt::format("an input of {} cannot be cut into blocks of {}x{}", in.text(), times, times));
      p.output({in.n, int(in.h / times), int(in.w / times), in.c});
    }
  }

  void forward(Stream& s) override {
    if (stride_ > 0)
      on(s, cpu::upsample_forward, cuda::upsample_forward)(s, x(), y, scale_);
    else
      on(s, cpu::downsample_forward, cuda::downsample_forward)(s, x(), y, scale_);
  }
  void backward(Stream& s) override {
    if (!dx()) return;
    if (stride_ > 0)
      on(s, cpu::upsample_backward, cuda::upsample_backward)(s, dy, dx(), scale_);
    else
      on(s, cpu::downsample_backward, cuda::downsample_backward)(s, dy, dx(), scale_);
  }

  LayerSummary summary() const override {
    return {0, stride_ > 0 ? fmt::format("{}x", stride_) : fmt::format("1/{}x", -int64_t(stride_)), 0};
  }

 private:
  int stride_ = 2;
  float scale_ = 1;
};

extern const LayerType upsample = {"upsample", nullptr, "repeats each pixel; or sums blocks of pixels",
                                   make<Upsample>};

}  // namespace osprey
