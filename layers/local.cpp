// [local]: a convolution that has filters and biases of its own at every place of its output, then an
// activation (cuda/local.h); YOLOv1 has one before its last layers.
//
// In Darknet's file lie the biases as filter, row, column, then the weights as row, column, filter, channel,
// and row and column of the kernel. Darknet draws the initial weights of the first place only, and leaves
// those of all others at 0; here every place starts alike.

#include "cuda/local.h"

#include <algorithm>
#include <cmath>

#include "cuda/convolution.h"
#include "layers/layer.h"
#include "layers/onnx_graph.h"
#include "layers/output_activation.h"
#include "layers/simd/gemm.h"

namespace osprey {
namespace cpu {
namespace {

// body(image, pixel of x under the window or -1 outside of it, where its channels lie among the patches)
template <class Body>
void for_each_pixel_under(Shape x, int oh, int ow, Window2 window, Body&& body) {
  int at = 0;
  for (int n = 0; n < x.n; ++n)
    for (int p = 0; p < window.h.size; ++p)
      for (int q = 0; q < window.w.size; ++q, at += x.c) {
        const int h = window.h.start(oh) + p, w = window.w.start(ow) + q;
        const bool inside = h >= 0 && h < x.h && w >= 0 && w < x.w;
        body(inside ? x.index(n, h, w, 0) : -1, at);
      }
}

void gather(View<const float> x, int oh, int ow, Window2 window, View<float> patches) {
  for_each_pixel_under(x.shape, oh, ow, window, [=](int from, int at) {
    if (from >= 0)
      std::copy_n(&x.data[from], x.shape.c, &patches.data[at]);
    else
      std::fill_n(&patches.data[at], x.shape.c, 0.0f);
  });
}

// The filters of a place: a matrix of [F, size * size * c].
struct Bank {
  int filters, inputs, first, row;  // first value of the place in y, and values from image to image

  Bank(Shape y, Shape patches, int place)
      : filters(y.c), inputs(patches.c), first(place * y.c), row(y.h * y.w * y.c) {}
  int64_t weights() const { return int64_t(first) * inputs; }
};

}  // namespace

void local_forward(Stream&, View<const float> x, View<const float> weights, View<const float> biases,
                   View<float> y, View<float> patches, Window2 window) {
  const int n = x.shape.n;
  for (int k = 0; k < n; ++k) std::copy(biases.begin(), biases.end(), &y.data[k * biases.size()]);
  for (int place = 0; place < y.shape.h * y.shape.w; ++place) {
    const Bank bank(y.shape, patches.shape, place);
    gather(x, place / y.shape.w, place % y.shape.w, window, patches);
    gemm(Transpose::no, Transpose::yes, n, bank.filters, bank.inputs, patches.data, bank.inputs,
         weights.data + bank.weights(), bank.inputs, true, y.data + bank.first, bank.row);
  }
}

void local_backward_weights(Stream&, View<const float> x, View<const float> dy, View<float> dweights,
                            View<float> patches, Window2 window) {
  for (int place = 0; place < dy.shape.h * dy.shape.w; ++place) {
    const Bank bank(dy.shape, patches.shape, place);
    gather(x, place / dy.shape.w, place % dy.shape.w, window, patches);
    gemm(Transpose::yes, Transpose::no, bank.filters, bank.inputs, x.shape.n, dy.data + bank.first, bank.row,
         patches.data, bank.inputs, true, dweights.data + bank.weights(), bank.inputs);
  }
}

void local_backward_input(Stream&, View<const float> dy, View<const float> weights, View<float> dx,
                          View<float> patches, Window2 window) {
  for (int place = 0; place < dy.shape.h * dy.shape.w; ++place) {
    const Bank bank(dy.shape, patches.shape, place);
    gemm(Transpose::no, Transpose::no, dx.shape.n, bank.inputs, bank.filters, dy.data + bank.first, bank.row,
         weights.data + bank.weights(), bank.inputs, false, patches.data, bank.inputs);
    for_each_pixel_under(dx.shape, place / dy.shape.w, place % dy.shape.w, window, [=](int to, int at) {
      for (int c = 0; to >= 0 && c < dx.shape.c; ++c) dx.data[to + c] += patches.data[at + c];
    });
  }
}

}  // namespace cpu

class Local final : public Layer, public OnnxLayer {
 public:
  void keys(Keys& k) override {
    k.integer("filters", filters_, 1).at_least(1).help("output channels");
    k.integer("size", size_, 1).between(1, 65536).help("side of the square kernels");
    k.integer("stride", stride_, 1).between(1, 65536).help("pixels from one place to the next");
    k.flag("pad", pad_, false).help("1: one pixel of zeros on each side, with size=3");
    activation_.keys(k, Activation::logistic);
  }

  void plan(Plan& p) override {
    const Shape in = p.input();
    p.require(!pad_ || size_ == 3, "pad",
              fmt::format("pad=1 goes with size=3: with size={} Darknet mixes up its pixels", size_));
    window_.h = window_.w = convolution_window(size_, stride_, pad_ ? 1 : 0, 1);
    p.require(in.h + window_.h.padding >= size_ && in.w + window_.w.padding >= size_, "size",
              fmt::format("a window of {} pixels does not fit into the input of {}x{}", size_, in.w, in.h));
    const Shape out{in.n, window_.h.outputs(in.h), window_.w.outputs(in.w), filters_};
    p.output(out, p.wanted_type());
    const int64_t inputs = int64_t(size_) * size_ * in.c;
    const int64_t values = int64_t(out.h) * out.w * filters_;
    p.require(double(values) * double(inputs) < double(int64_t(1) << 31), "filters",
              fmt::format("{} places x {} filters of {} weights are too many: 2^31", out.h * out.w, filters_,
                          inputs));
    flops_ = 2.0 * double(values) * double(inputs) * p.items_per_image();

    p.parameter(biases_, bias_gradients_, {1, out.h, out.w, filters_},
                {.name = "biases", .role = Role::offset, .order = FileOrder::convolution});
    p.parameter(weights_, weight_gradients_, {int(values), size_, size_, in.c},
                {.name = "weights",
                 .order = FileOrder::convolution,
                 .uniform = float(std::sqrt(2.0 / double(inputs)))});
    activation_.plan(p);
    p.backward_reads_input();
    values_ = {in.n, 1, 1, int(values)};
    patches_ = partial_ = {};
    if (!p.on_gpu()) p.scratch(patches_, {1, 1, in.n, int(inputs)});
    if (p.on_gpu() && p.training()) p.scratch(partial_, bias_partial(values_));
  }

  void forward(Stream& s) override {
    on(s, cpu::local_forward, cuda::local_forward)(s, x(), weights_, biases_, activation_.target(y), patches_,
                                                   window_);
    activation_.forward(s, y);
  }

  void backward(Stream& s) override {
    activation_.backward(s, y, dy);
    const Tensor rows{dy.data, values_, dy.type};
    on(s, cpu::bias_backward, cuda::bias_backward)(s, rows, bias_gradients_, partial_);
    on(s, cpu::local_backward_weights, cuda::local_backward_weights)(s, x(), dy, weight_gradients_, patches_,
                                                                     window_);
    if (dx())
      on(s, cpu::local_backward_input, cuda::local_backward_input)(s, dy, weights_, dx(), patches_, window_);
  }

  bool converts() const override { return true; }

  LayerSummary summary() const override {
    return {filters_, fmt::format("{0}x{0}/{1}", size_, stride_), flops_};
  }

  // The pixels under a window as channels [N, k k C, OH, OW], then for each place a matrix product.
  std::string to_onnx(OnnxGraph& g) const override {
    const Shape in = x().shape, out = y.shape;
    const Window& w = window_.h;
    std::string image = g.x();
    if (w.padding > 0) image = g.padded(image, {0, 0, w.before, w.before}, {0, 0, w.before, w.before});
    OnnxGraph::Names taps;
    for (int p = 0; p < size_; ++p)
      for (int q = 0; q < size_; ++q) {
        const int64_t rows = int64_t(out.h - 1) * w.stride + 1, columns = int64_t(out.w - 1) * w.stride + 1;
        taps.push_back(g.slice(g.slice(image, 2, p, p + rows, w.stride), 3, q, q + columns, w.stride));
      }
    const int64_t places = int64_t(out.h) * out.w, inputs = int64_t(size_) * size_ * in.c;
    const std::string patches =
        g.transposed(g.reshaped(g.concatenated(taps, 1), {0, inputs, places}), {2, 0, 1});
    // Ours lie as [places, filters, inputs], in the order of the patches.
    const std::string filters = g.transposed(
        g.constant("weights", {places, out.c, inputs}, {weights_.begin(), weights_.end()}), {0, 2, 1});
    const std::string z = g.transposed(g.add("MatMul", {patches, filters}), {1, 2, 0});
    return g.activation(g.add("Add", {g.reshaped(z, {0, out.c, out.h, out.w}), g.weights(biases_)}),
                        activation_.kind);
  }

 private:
  int filters_ = 1, size_ = 1, stride_ = 1;
  bool pad_ = false;
  Window2 window_;
  OutputActivation activation_;
  double flops_ = 0;
  View<float> biases_, bias_gradients_;     // {1, H, W, filters}
  View<float> weights_, weight_gradients_;  // {H W filters, size, size, c}
  Shape values_;                            // of y, as one row for each image
  View<float> patches_, partial_;
};

extern const LayerType local = {
    "local", nullptr, "a convolution with filters of its own at each place of the output", make<Local>};

}  // namespace osprey
