// [avgpool]: the mean of each channel over the whole image, [N,H,W,C] -> [N,1,1,C]; or with `size` over a
// sliding window, by PyTorch's rules for its edges (Darknet has no such).

#include "cuda/avgpool.h"

#include <algorithm>

#include "core/parallel.h"
#include "layers/averaging_onnx.h"
#include "layers/channel_sums.h"
#include "layers/layer.h"
#include "layers/vector_loop.h"

namespace osprey {
namespace cpu {

constexpr int kGrain = 16384;  // values worth a thread of their own

void avgpool_forward(Stream&, View<const float> x, View<float> y) {
  const int pixels = x.shape.h * x.shape.w, c = x.shape.c;
  parallel_for(x.shape.n, 1 + kGrain / (int64_t(pixels) * c), [=](int64_t first, int64_t last) {
    for (int n = int(first); n < int(last); ++n)
      channel_sums(
          pixels, c,
          [=](int pixel, int k) {
            return Terms{x[(n * pixels + pixel) * c + k], 0};
          },
          [=](int k, Terms sum) { y[n * c + k] = float(sum.first / pixels); });
  });
}

void avgpool_backward(Stream&, View<const float> dy, View<float> dx) {
  const int pixels = dx.shape.h * dx.shape.w, c = dx.shape.c;
  const float share = 1.0f / float(pixels);
  parallel_for(dx.shape.rows(), 1 + kGrain / c, [=](int64_t first, int64_t last) {
    for (int row = int(first); row < int(last); ++row) {
      const int from = row / pixels * c;
      VECTOR_LOOP
      for (int k = 0; k < c; ++k) dx[row * c + k] += share * dy[from + k];
    }
  });
}

void avgpool_windows_forward(Stream&, View<const float> x, View<float> y, Averaging a) {
  const Window &wh = a.window.h, &ww = a.window.w;
  const int c = x.shape.c;
  parallel_for(y.shape.rows(), 1 + kGrain / (int64_t(wh.size) * ww.size * c),
               [=](int64_t first, int64_t last) {
                 for (int row = int(first); row < int(last); ++row) {
                   const auto [n, oh, ow, zero] = y.shape.pixel(row * c);
                   const int h0 = std::max(wh.start(oh), 0), h1 = std::min(wh.start(oh) + wh.size, x.shape.h);
                   const int w0 = std::max(ww.start(ow), 0), w1 = std::min(ww.start(ow) + ww.size, x.shape.w);
                   float* to = &y[row * c];
                   std::fill(to, to + c, 0.0f);
                   for (int h = h0; h < h1; ++h)
                     for (int w = w0; w < w1; ++w) {
                       const float* from = &x[x.shape.index(n, h, w, 0)];
                       VECTOR_LOOP
                       for (int k = 0; k < c; ++k) to[k] += from[k];
                     }
                   const float divisor = a.divisor(oh, ow, x.shape);
                   VECTOR_LOOP
                   for (int k = 0; k < c; ++k) to[k] /= divisor;
                 }
               });
}

// Windows may overlap, so that two of them may add to one pixel; two images never meet.
void avgpool_windows_backward(Stream&, View<const float> dy, View<float> dx, Averaging a) {
  const Window &wh = a.window.h, &ww = a.window.w;
  const Shape in = dx.shape, out = dy.shape;
  parallel_for(out.n, 1, [=](int64_t first, int64_t last) {
    for (int row = int(first) * out.h * out.w; row < int(last) * out.h * out.w; ++row) {
      const auto [n, oh, ow, zero] = out.pixel(row * out.c);
      const int h0 = std::max(wh.start(oh), 0), h1 = std::min(wh.start(oh) + wh.size, in.h);
      const int w0 = std::max(ww.start(ow), 0), w1 = std::min(ww.start(ow) + ww.size, in.w);
      const float share = 1 / a.divisor(oh, ow, in);
      for (int h = h0; h < h1; ++h)
        for (int w = w0; w < w1; ++w) {
          const int to = in.index(n, h, w, 0);
          VECTOR_LOOP
          for (int k = 0; k < in.c; ++k) dx[to + k] += share * dy[row * out.c + k];
        }
    }
  });
}

}  // namespace cpu

// ONNX counts either the padding or nothing outside of the image. What a last window has beyond the padding
// it counts with it: there the means are corrected.
std::string averaging_to_onnx(OnnxGraph& g, const Averaging& averaging, Shape in, Shape out) {
  const Window2& window = averaging.window;
  OnnxGraph::Attributes attributes = OnnxGraph::window(window);
  attributes.push_back({"count_include_pad", int64_t(averaging.count_padding)});
  const std::string means = g.add("AveragePool", {g.x()}, attributes);
  if (!averaging.count_padding) return means;
  const float whole = float(window.h.size) * float(window.w.size);
  std::vector<float> factors;
  for (int h = 0; h < out.h; ++h)
    for (int w = 0; w < out.w; ++w) factors.push_back(whole / averaging.divisor(h, w, in));
  if (std::all_of(factors.begin(), factors.end(), [](float f) { return f == 1; })) return means;
  return g.add("Mul", {means, g.constant("factors", {1, 1, out.h, out.w}, factors)});
}

class AvgPool final : public Layer, public OnnxLayer {
 public:
  void keys(Keys& k) override {
    k.integer("size", size_, 0).between(0, 65536).help("side of the square window; 0: the whole image");
    k.integer("stride", stride_, std::max(size_, 1))
        .between(1, 65536)
        .shown_as("size")
        .help("pixels from one window to the next");
    k.integer("padding", padding_, 0).between(0, 65536).help("rows and columns of zeros on each side");
    k.flag("ceil", round_up_, false).help("1: a last window may hang over the edge of the image");
    k.flag("count_padding", averaging_.count_padding, true)
        .help("0: the mean is over the pixels of the image only");
    for (const char* key : {"stride", "padding", "ceil", "count_padding"})
      if (k.given(key)) window_key_ = key;
  }

  void plan(Plan& p) override {
    const Shape in = p.input();
    if (size_ == 0) {
      p.require(!window_key_, window_key_ ? window_key_ : "size",
                fmt::format("{} needs size: without it the mean is over the whole image",
                            window_key_ ? window_key_ : ""));
      p.output({in.n, 1, 1, in.c}, p.wanted_type());
      flops_ = double(in.h) * in.w * in.c * p.items_per_image();
      return;
    }
    p.require(padding_ < size_, "padding", "padding leaves windows with no pixel of the image");
    p.require(in.h + 2 * padding_ >= size_ && in.w + 2 * padding_ >= size_, "size",
              fmt::format("a window of {} does not fit an input of {}", size_, in.text()));
    Window2& window = averaging_.window;
    window = {averaging_window(in.h, size_, stride_, padding_, round_up_),
              averaging_window(in.w, size_, stride_, padding_, round_up_)};
    const Shape out{in.n, window.h.outputs(in.h), window.w.outputs(in.w), in.c};
    p.output(out, p.wanted_type());
    flops_ = double(size_) * size_ * out.h * out.w * out.c * p.items_per_image();
  }

  void forward(Stream& s) override {
    if (size_ == 0)
      on(s, cpu::avgpool_forward, cuda::avgpool_forward)(s, x(), y);
    else
      on(s, cpu::avgpool_windows_forward, cuda::avgpool_windows_forward)(s, x(), y, averaging_);
  }
  void backward(Stream& s) override {
    if (!dx()) return;
    if (size_ == 0)
      on(s, cpu::avgpool_backward, cuda::avgpool_backward)(s, dy, dx());
    else
      on(s, cpu::avgpool_windows_backward, cuda::avgpool_windows_backward)(s, dy, dx(), averaging_);
  }

  bool converts() const override { return true; }
  LayerSummary summary() const override {
    return {0, size_ ? fmt::format("{}x{}/{}", size_, size_, stride_) : "", flops_};
  }

  std::string to_onnx(OnnxGraph& g) const override {
    if (size_ == 0) return g.add("GlobalAveragePool", {g.x()});
    return averaging_to_onnx(g, averaging_, x().shape, y.shape);
  }

 private:
  int size_ = 0, stride_ = 1, padding_ = 0;
  bool round_up_ = false;
  const char* window_key_ = nullptr;  // one that is given and means nothing without `size`
  Averaging averaging_;
  double flops_ = 0;
};

extern const LayerType avgpool = {"avgpool", "avg", "the mean of each channel, over the image or a window",
                                  make<AvgPool>};

}  // namespace osprey
