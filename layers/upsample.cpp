// [upsample]: each pixel becomes a block of stride x stride equal pixels, times `scale`. A negative stride
// goes the other way: each block becomes the sum of its pixels (Darknet; not the mean), times `scale`.
//
// With a second layer in `from` the output has the height and width of that, whatever they are, as the
// top-down path of a feature pyramid needs it: y[i] = x[floor(i in / out)] on each axis. mode=bilinear
// interpolates instead (core/bilinear.h).

#include "cuda/upsample.h"

#include <algorithm>

#include "core/bilinear.h"
#include "core/parallel.h"
#include "layers/layer.h"
#include "layers/onnx_graph.h"
#include "layers/vector_loop.h"

namespace osprey {
namespace cpu {
namespace {

constexpr int kGrain = 16384;  // values worth a thread of their own

int64_t rows_per_thread(Shape s) { return 1 + kGrain / (int64_t(s.w) * s.c); }

// The source of output i of n from m inputs is floor(i m / n); this is the first output of a source.
int first_of(int source, int m, int n) { return int((int64_t(source) * n + m - 1) / m); }
int source_of(int i, int m, int n) { return int(int64_t(i) * m / n); }

template <class T>
void forward(Tensor x, Tensor y, float scale) {
  const PitchedShape in = x.shape, out = y.shape;
  parallel_for(out.n * out.h, rows_per_thread(out), [=](int64_t first, int64_t last) {
    for (int row = int(first); row < int(last); ++row) {
      const int n = row / out.h, oh = row % out.h;
      for (int ow = 0; ow < out.w; ++ow) {
        const T* from = static_cast<const T*>(x.data) +
                        in.place(n, source_of(oh, in.h, out.h), source_of(ow, in.w, out.w));
        T* to = static_cast<T*>(y.data) + out.place(n, oh, ow);
        VECTOR_LOOP
        for (int c = 0; c < out.c; ++c) to[c] = scale * from[c];
      }
    }
  });
}

constexpr int kBlock = 64;  // channels that are summed at a time

// Of one input, the channels [first, first + count): its block of outputs, and what is in dx, are summed in
// float.
template <class T>
void add_block(View<const T> dy, View<T> dx, int n, int h, int w, int first, int count, float scale) {
  const Shape in = dx.shape, out = dy.shape;
  T* to = &dx[in.index(n, h, w, first)];
  float sum[kBlock];
  for (int c = 0; c < count; ++c) sum[c] = to[c];
  for (int oh = first_of(h, in.h, out.h); oh < first_of(h + 1, in.h, out.h); ++oh)
    for (int ow = first_of(w, in.w, out.w); ow < first_of(w + 1, in.w, out.w); ++ow) {
      const T* from = &dy[out.index(n, oh, ow, first)];
      VECTOR_LOOP
      for (int c = 0; c < count; ++c) sum[c] += scale * from[c];
    }
  for (int c = 0; c < count; ++c) to[c] = T(sum[c]);
}

// Each input gathers from its block of outputs, so that no two threads write one value.
template <class T>
void backward(View<const T> dy, View<T> dx, float scale) {
  const Shape in = dx.shape, out = dy.shape;
  parallel_for(in.n * in.h, rows_per_thread({1, 1, in.w, in.c * (1 + out.h / in.h * (out.w / in.w))}),
               [=](int64_t first, int64_t last) {
                 for (int row = int(first); row < int(last); ++row) {
                   const int n = row / in.h, h = row % in.h;
                   for (int w = 0; w < in.w; ++w)
                     for (int c = 0; c < in.c; c += kBlock)
                       add_block(dy, dx, n, h, w, c, std::min(in.c - c, kBlock), scale);
                 }
               });
}

}  // namespace

void upsample_forward(Stream&, Tensor x, Tensor y, float scale) {
  with_type(y.type, [&](auto number) {
    using T = decltype(number);
    forward<T>(x, y, scale);
  });
}

void upsample_backward(Stream&, Tensor dy, Tensor dx, float scale) {
  with_type(dx.type, [&](auto number) {
    using T = decltype(number);
    backward(dy.view<const T>(), dx.view<T>(), scale);
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

void bilinear_forward(Stream&, View<const float> x, View<float> y, float scale, bool align_corners) {
  const Shape in = x.shape, out = y.shape;
  const BilinearAxis rows(in.h, out.h, align_corners), columns(in.w, out.w, align_corners);
  parallel_for(out.n * out.h, rows_per_thread(out), [=](int64_t first, int64_t last) {
    for (int row = int(first); row < int(last); ++row) {
      const int n = row / out.h, oh = row % out.h;
      const BilinearAxis::Tap h = rows.tap(oh);
      for (int ow = 0; ow < out.w; ++ow) {
        const BilinearAxis::Tap w = columns.tap(ow);
        const float *a = &x[in.index(n, h.low, w.low, 0)], *b = &x[in.index(n, h.low, w.high, 0)],
                    *c = &x[in.index(n, h.high, w.low, 0)], *d = &x[in.index(n, h.high, w.high, 0)];
        float* to = &y[out.index(n, oh, ow, 0)];
        const float of_a = scale * (1 - h.share) * (1 - w.share), of_b = scale * (1 - h.share) * w.share,
                    of_c = scale * h.share * (1 - w.share), of_d = scale * h.share * w.share;
        VECTOR_LOOP
        for (int k = 0; k < out.c; ++k) to[k] = of_a * a[k] + of_b * b[k] + of_c * c[k] + of_d * d[k];
      }
    }
  });
}

// Each output is scattered to its four inputs; images do not meet, so each may have a thread of its own.
void bilinear_backward(Stream&, View<const float> dy, View<float> dx, float scale, bool align_corners) {
  const Shape in = dx.shape, out = dy.shape;
  const BilinearAxis rows(in.h, out.h, align_corners), columns(in.w, out.w, align_corners);
  parallel_for(out.n, 1, [=](int64_t first, int64_t last) {
    for (int n = int(first); n < int(last); ++n)
      for (int oh = 0; oh < out.h; ++oh)
        for (int ow = 0; ow < out.w; ++ow) {
          const BilinearAxis::Tap h = rows.tap(oh), w = columns.tap(ow);
          const auto add = [&](int row, int column, float weight) {
            const int to = in.index(n, row, column, 0), from = out.index(n, oh, ow, 0);
            VECTOR_LOOP
            for (int k = 0; k < in.c; ++k) dx[to + k] += weight * dy[from + k];
          };
          add(h.low, w.low, scale * (1 - h.share) * (1 - w.share));
          add(h.low, w.high, scale * (1 - h.share) * w.share);
          add(h.high, w.low, scale * h.share * (1 - w.share));
          add(h.high, w.high, scale * h.share * w.share);
        }
  });
}

}  // namespace cpu

class Upsample final : public Layer, public OnnxLayer {
 public:
  void keys(Keys& k) override {
    k.integer("stride", stride_, 2).help("how many times larger; negative: how many times smaller, by sums");
    k.real("scale", scale_, 1).help("factor of every value");
    k.choice("mode", mode_, Mode::nearest, kModes).help("the nearest pixel, or the mean of four by distance");
    k.flag("align_corners", align_corners_, false)
        .help("mode=bilinear, 1: the centres of corner pixels meet; 0: their outer edges do");
    stride_given_ = k.given("stride");
  }

  void plan(Plan& p) override {
    p.require(p.inputs() <= 2, "from", "expected one layer, or two: the second gives the size");
    p.require(stride_ != 0 && std::abs(int64_t(stride_)) <= 65536, "stride",
              fmt::format("stride must be 1 to 65536, or -1 to -65536, not {}", stride_));
    p.require(p.inputs() == 1 || !stride_given_, "stride",
              "the second layer in `from` gives the size already: remove stride");
    p.require(mode_ == Mode::nearest || stride_ > 0, "stride",
              "mode=bilinear takes no negative stride: name a smaller layer as second in `from`");
    p.require(mode_ == Mode::bilinear || !align_corners_, "align_corners",
              "align_corners=1 needs mode=bilinear");
    const Shape in = p.input();
    if (p.inputs() == 2)
      p.output({in.n, p.input(1).h, p.input(1).w, in.c});
    else
      p.output(size_by_stride(p, in));
  }

  void forward(Stream& s) override {
    if (mode_ == Mode::bilinear)
      on(s, cpu::bilinear_forward, cuda::bilinear_forward)(s, x(), y, scale_, align_corners_);
    else if (stride_ > 0)
      on(s, cpu::upsample_forward, cuda::upsample_forward)(s, x(), y, scale_);
    else
      on(s, cpu::downsample_forward, cuda::downsample_forward)(s, x(), y, scale_);
  }
  void backward(Stream& s) override {
    if (!dx()) return;
    if (mode_ == Mode::bilinear)
      on(s, cpu::bilinear_backward, cuda::bilinear_backward)(s, dy, dx(), scale_, align_corners_);
    else if (stride_ > 0)
      on(s, cpu::upsample_backward, cuda::upsample_backward)(s, dy, dx(), scale_);
    else
      on(s, cpu::downsample_backward, cuda::downsample_backward)(s, dy, dx(), scale_);
  }

  bool takes_bf16(const BuildOptions&) const override { return repeats(); }
  bool makes_slice() const override { return repeats(); }
  bool reads_slice(int k) const override { return repeats() || k == 1; }  // of that only the size

  LayerSummary summary() const override {
    if (inputs.size() == 2) return {0, fmt::format("{}x{}", y.shape.w, y.shape.h), 0};
    return {0, stride_ > 0 ? fmt::format("{}x", stride_) : fmt::format("1/{}x", -int64_t(stride_)), 0};
  }

  std::string to_onnx(OnnxGraph& g) const override {
    const Shape in = x().shape, out = y.shape;
    if (mode_ == Mode::bilinear) return g.scaled(bilinear_to_onnx(g, in, out), scale_);
    if (stride_ < 0) {
      const Window window{-stride_, -stride_};
      return g.scaled(g.add("AveragePool", {g.x()}, OnnxGraph::window({window, window})),
                      scale_ * float(stride_) * float(stride_));
    }
    if (out.h % in.h != 0 || out.w % in.w != 0)
      return g.scaled(nearest_to_onnx(g, nearest_to_onnx(g, g.x(), 2, in.h, out.h), 3, in.w, out.w), scale_);
    const std::string factors = g.constant("factors", {4}, {1, 1, float(out.h / in.h), float(out.w / in.w)});
    return g.scaled(g.add("Resize", {g.x(), "", factors},
                          {{"mode", "nearest"},
                           {"coordinate_transformation_mode", "asymmetric"},
                           {"nearest_mode", "floor"}}),
                    scale_);
  }

 private:
  enum class Mode { nearest, bilinear };
  static constexpr const char* kModes[] = {"nearest", "bilinear"};

  // Where sizes are no multiples, the sources by their numbers: [Resize] would find them with rounded
  // factors.
  static std::string nearest_to_onnx(OnnxGraph& g, const std::string& x, int axis, int inputs, int outputs) {
    std::vector<int64_t> sources;
    for (int i = 0; i < outputs; ++i) sources.push_back(cpu::source_of(i, inputs, outputs));
    return g.add("Gather", {x, g.integers(sources)}, {{"axis", int64_t(axis)}});
  }

  // Rows and columns of outputs as sums of those of the inputs: A x B, with x as [N,C,H,W].
  std::string bilinear_to_onnx(OnnxGraph& g, Shape in, Shape out) const {
    const auto sums = [&](int inputs, int outputs, bool transposed) {
      const BilinearAxis axis(inputs, outputs, align_corners_);
      std::vector<float> matrix(size_t(inputs) * outputs);
      for (int o = 0; o < outputs; ++o)
        for (int i = 0; i < inputs; ++i)
          matrix[size_t(transposed ? i * outputs + o : o * inputs + i)] = axis.tap(o).weight_of(i);
      return matrix;
    };
    const std::string columns = g.constant("columns", {in.w, out.w}, sums(in.w, out.w, true));
    const std::string rows = g.constant("rows", {out.h, in.h}, sums(in.h, out.h, false));
    return g.add("MatMul", {rows, g.add("MatMul", {g.x(), columns})});
  }

  bool repeats() const { return mode_ == Mode::nearest && stride_ > 0; }

  Shape size_by_stride(Plan& p, Shape in) const {
    const int64_t times = std::abs(int64_t(stride_));
    if (stride_ > 0) {
      p.require(in.h * times < (1 << 30) && in.w * times < (1 << 30), "stride",
                "the output would be too large");
      return {in.n, int(in.h * times), int(in.w * times), in.c};
    }
    p.require(in.h % times == 0 && in.w % times == 0, "stride",
              fmt::format("an input of {} cannot be cut into blocks of {}x{}", in.text(), times, times));
    return {in.n, int(in.h / times), int(in.w / times), in.c};
  }

  int stride_ = 2;
  float scale_ = 1;
  Mode mode_ = Mode::nearest;
  bool align_corners_ = false, stride_given_ = false;
};

extern const LayerType upsample = {
    "upsample", nullptr, "repeats each pixel, or sums blocks of pixels; to any size with two layers",
    make<Upsample>};

}  // namespace osprey
