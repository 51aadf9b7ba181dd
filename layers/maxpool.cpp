// [maxpool]: the largest value under a sliding window, each channel for itself.
//
//   y[n,i,j,c] = max of x[n,h,w,c] over the window at (i,j);  its gradient goes to the winner alone.
//
// Shapes and ties follow Darknet: `padding` counts both sides together and the odd row goes after the image;
// the window may hang over the edge (padding never wins), and of equal values the first in reading order
// wins.
//
// With maxpool_depth=1 the maximum is over channels instead, y[n,h,w,g] over x[n,h,w,g], x[n,h,w,g + k], ...
// for k = out_channels. With antialiasing the windows have stride 1, and a blur behind them has the stride.

#include "cuda/maxpool.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "core/parallel.h"
#include "layers/antialiasing.h"
#include "layers/layer.h"
#include "layers/onnx_graph.h"
#include "layers/pooling_window.h"
#include "layers/simd/largest.h"
#include "layers/vector_loop.h"

namespace osprey {
namespace cpu {
namespace {

// The pixels of x under the window of one output, which is at least one: `first` is the index of the first.
struct Pixels {
  int first, rows, columns, row_step;

  Pixels(const PitchedShape& x, const Shape& y, int row, int ow, const Window2& window) {
    const int n = row / y.h, oh = row % y.h;
    const Window &wh = window.h, &ww = window.w;
    const int h0 = std::max(wh.start(oh), 0), h1 = std::min(wh.start(oh) + wh.size, x.h);
    const int w0 = std::max(ww.start(ow), 0), w1 = std::min(ww.start(ow) + ww.size, x.w);
    first = int(x.place(n, h0, w0));
    rows = h1 - h0, columns = w1 - w0;
    row_step = x.w * x.pitch;
  }
};

// body(first output row, last) over the rows of all images, on all threads.
template <class Body>
void for_rows(const Shape& y, const Window2& window, Body&& body) {
  const int64_t work = int64_t(window.h.size) * window.w.size * y.w * y.c;  // of one row
  parallel_for(y.n * y.h, 1 + 32768 / work, body);
}

// One output pixel, all channels: some of them at a time start as the window's first pixel, and are raised by
// the others.
template <class T>
void largest(View<const T> x, const Pixels& pixels, T* y, int* winner) {
  constexpr int kBlock = 64;
  const int c = x.shape.c;
  for (int block = 0; block < c; block += kBlock) {
    const int count = std::min(c - block, kBlock), start = pixels.first + block;
    int* best = winner + block;
    float most[kBlock];
    for (int ch = 0; ch < count; ++ch) most[ch] = x[start + ch], best[ch] = start + ch;
    for (int k = 1; k < pixels.rows * pixels.columns; ++k) {
      const int at = start + k / pixels.columns * pixels.row_step + k % pixels.columns * c;
      const T* value = &x[at];
      VECTOR_LOOP
      for (int ch = 0; ch < count; ++ch) {
        const float here = value[ch];
        const bool larger = here > most[ch];
        most[ch] = larger ? here : most[ch];
        best[ch] = larger ? at + ch : best[ch];
      }
    }
    for (int ch = 0; ch < count; ++ch) y[block + ch] = T(most[ch]);
  }
}

// One row of outputs without winners: the windows between the edges side by side, those over an edge alone.
template <class T>
void largest_row(const Tensor& x, const Tensor& y, int row, const Window2& window) {
  const Window& w = window.w;
  const int pitch = x.shape.pitch, last_inside = (x.shape.w - w.size + w.before) / w.stride;
  for (int ow = 0; ow < y.shape.w;) {
    const Pixels pixels(x.shape, y.shape, row, ow, window);
    const int count = pixels.columns == w.size ? std::min(y.shape.w, last_inside + 1) - ow : 1;
    simd::largest_in_windows(static_cast<const T*>(x.data) + pixels.first,
                             {pixels.rows, pixels.columns, x.shape.c, pixels.row_step, pitch,
                              int64_t(w.stride) * pitch, y.shape.pitch},
                             count, static_cast<T*>(y.data) + y.shape.place(0, row, ow));
    ow += count;
  }
}

// Whether each pixel of x lies under one window at most.
bool apart(const Window2& w) { return w.h.stride >= w.h.size && w.w.stride >= w.w.size; }

// Whether windows that do not overlap leave no pixel out.
bool cover(const Shape& x, const Shape& y, const Window2& w) {
  const auto all = [](const Window& w, int ins, int outs) {
    return w.stride == w.size && w.start(outs) >= ins;
  };
  return all(w.h, x.h, y.h) && all(w.w, x.w, y.w);
}

// Of windows that are apart: each writes the pixels under it.
template <bool kOverwrites, class T>
void backward_apart(View<const T> dy, View<const int> winner, View<T> dx, const Window2& window) {
  const Shape out = dy.shape;
  for_rows(out, window, [=](int64_t first, int64_t last) {
    for (int row = int(first); row < int(last); ++row)
      for (int ow = 0; ow < out.w; ++ow) {
        const Pixels pixels(dx.shape, out, row, ow, window);
        const int i = (row * out.w + ow) * out.c;
        for (int y = 0; y < pixels.rows; ++y)
          for (int x = 0; x < pixels.columns; ++x) {
            const int at = pixels.first + y * pixels.row_step + x * out.c;
            VECTOR_LOOP
            for (int ch = 0; ch < out.c; ++ch) {
              const float value = dy[i + ch], gradient = winner[i + ch] == at + ch ? value : 0.0f;
              dx[at + ch] = T(kOverwrites ? gradient : dx[at + ch] + gradient);
            }
          }
      }
  });
}

template <class T>
void forward(Tensor x, Tensor y, const Window2& window) {
  for_rows(y.shape, window, [=](int64_t first, int64_t last) {
    for (int row = int(first); row < int(last); ++row) largest_row<T>(x, y, row, window);
  });
}

template <class T>
void forward(View<const T> x, View<T> y, View<int> winner, const Window2& window) {
  for_rows(y.shape, window, [=](int64_t first, int64_t last) {
    for (int row = int(first); row < int(last); ++row)
      for (int ow = 0; ow < y.shape.w; ++ow) {
        const int i = (row * y.shape.w + ow) * y.shape.c;
        largest(x, Pixels(x.shape, y.shape, row, ow, window), &y[i], &winner[i]);
      }
  });
}

// Where windows overlap, two rows of dy may have one winner; two images or two channels never do. Their sum
// is in float.
template <class T>
void backward(View<const T> dy, View<const int> winner, View<T> dx, const Window2& window) {
  if (apart(window)) return backward_apart<false>(dy, winner, dx, window);
  const Shape s = dy.shape;
  constexpr int kChannels = 64 / sizeof(T);  // a cache line
  const int blocks = (s.c + kChannels - 1) / kChannels;
  const int64_t work = int64_t(s.h) * s.w * std::min(s.c, kChannels);
  parallel_for(s.n * blocks, 1 + 32768 / work, [=](int64_t first, int64_t last) {
    for (int task = int(first); task < int(last); ++task) {
      const int n = task / blocks, c0 = task % blocks * kChannels, c1 = std::min(c0 + kChannels, s.c);
      const int image = dx.shape.index(n, 0, 0, 0), size = dx.shape.index(1, 0, 0, 0);
      const auto add_to = [&](float* sums) {
        for (int i = s.index(n, 0, 0, 0); i < s.index(n + 1, 0, 0, 0); i += s.c)
          for (int ch = c0; ch < c1; ++ch) sums[winner[i + ch] - image] += dy[i + ch];
      };
      if constexpr (std::is_same_v<T, float>) {
        add_to(&dx[image]);
      } else {
        thread_local std::vector<float> sums;  // grows with the first networks, and is then there
        sums.resize(std::max(sums.size(), size_t(size)));
        for (int i = 0; i < size; i += s.c)
          for (int ch = c0; ch < c1; ++ch) sums[size_t(i + ch)] = dx[image + i + ch];
        add_to(sums.data());
        for (int i = 0; i < size; i += s.c)
          for (int ch = c0; ch < c1; ++ch) dx[image + i + ch] = T(sums[size_t(i + ch)]);
      }
    }
  });
}

}  // namespace

void maxpool_forward(Stream&, Tensor x, Tensor y, View<int> winner, Window2 window) {
  with_type(y.type, [&](auto number) {
    using T = decltype(number);
    winner ? forward(x.view<const T>(), y.view<T>(), winner, window) : forward<T>(x, y, window);
  });
}

void maxpool_backward(Stream&, Tensor dy, View<const int> winner, Tensor dx, Window2 window) {
  with_type(dx.type, [&](auto number) {
    using T = decltype(number);
    backward(dy.view<const T>(), winner, dx.view<T>(), window);
  });
}

void maxpool_backward_overwrite(Stream& s, Tensor dy, View<const int> winner, Tensor dx, Window2 window) {
  if (!cover(dx.shape, dy.shape, window)) {
    std::memset(dx.data, 0, dx.bytes());
    return maxpool_backward(s, dy, winner, dx, window);
  }
  with_type(dx.type, [&](auto number) {
    using T = decltype(number);
    backward_apart<true>(dy.view<const T>(), winner, dx.view<T>(), window);
  });
}

void maxpool_depth_forward(Stream&, View<const float> x, View<float> y, View<int> winner) {
  for (int i = 0; i < y.size(); ++i) {
    int best = i / y.shape.c * x.shape.c + i % y.shape.c;
    const int end = (i / y.shape.c + 1) * x.shape.c;
    for (int at = best; at < end; at += y.shape.c)
      if (x[at] > x[best]) best = at;
    y[i] = x[best];
    if (winner) winner[i] = best;
  }
}

void maxpool_depth_backward(Stream&, View<const float> dy, View<const int> winner, View<float> dx) {
  for (int i = 0; i < dy.size(); ++i) dx[winner[i]] += dy[i];
}

}  // namespace cpu

class MaxPool final : public Layer, public OnnxLayer {
 public:
  void keys(Keys& k) override {
    pooling_.keys(k);
    antialiasing_.keys(k);
    k.flag("maxpool_depth", across_channels_, false)
        .help(
            "1: the maximum is over channels, not pixels: over every out_channels-th from each of the first");
    k.integer("out_channels", out_channels_, 1).at_least(1).help("maxpool_depth=1: channels of the output");
    out_channels_given_ = k.given("out_channels");
  }

  void plan(Plan& p) override {
    p.require(across_channels_ || !out_channels_given_, "out_channels", "out_channels needs maxpool_depth=1");
    if (across_channels_) return plan_depth(p);
    const Shape in = p.input();
    window_ = pooling_.plan(p, antialiasing_.on());
    const Shape sharp = pooled_shape(in, window_);
    output_ = antialiasing_.plan(p, sharp, pooling_.stride_y(), pooling_.stride_x(), p.input_type());
    p.output(output_);
    p.keep(winner_, sharp);
    p.obeys_writes();
  }

  void forward(Stream& s) override {
    if (across_channels_)
      return on(s, cpu::maxpool_depth_forward, cuda::maxpool_depth_forward)(s, x(), y, winner_);
    on(s, cpu::maxpool_forward, cuda::maxpool_forward)(s, x(), antialiasing_.sharp(y), winner_, window_);
    antialiasing_.forward(s, y);
  }
  void backward(Stream& s) override {
    if (!dx()) return;
    if (across_channels_)
      return on(s, cpu::maxpool_depth_backward, cuda::maxpool_depth_backward)(s, dy, winner_, dx());
    antialiasing_.backward(s, dy);
    const bool add = writes() == Write::add;
    on(s, add ? cpu::maxpool_backward : cpu::maxpool_backward_overwrite,
       add ? cuda::maxpool_backward : cuda::maxpool_backward_overwrite)(s, antialiasing_.sharp_gradient(dy),
                                                                        winner_, dx(), window_);
  }

  bool takes_bf16(const BuildOptions&) const override { return plain(); }

  bool makes_slice() const override { return plain(); }
  bool reads_slice(int) const override { return plain(); }

  std::optional<Window2> plain_pool() const override {
    if (!plain()) return std::nullopt;
    return window_;
  }

  LayerSummary summary() const override { return pooling_.summary(output_); }

  std::string to_onnx(OnnxGraph& g) const override {
    const Shape in = x().shape;
    if (!across_channels_)
      return antialiasing_.to_onnx(g, g.add("MaxPool", {g.x()}, OnnxGraph::window(window_)), in.c);
    g.require(in.c % out_channels_ == 0, "out_channels",
              fmt::format("out_channels={} does not divide the {} channels", out_channels_, in.c));
    const std::string parts = g.reshaped(g.x(), {0, in.c / out_channels_, out_channels_, in.h, in.w});
    return g.add("ReduceMax", {parts}, {{"axes", OnnxGraph::Sides{1}}, {"keepdims", int64_t(0)}});
  }

 private:
  bool plain() const { return !across_channels_ && !antialiasing_.on(); }

  void plan_depth(Plan& p) {
    const Shape in = p.input();
    p.require(pooling_.is_one_pixel() && !antialiasing_.on(), "maxpool_depth",
              "maxpool_depth=1 has no window of pixels: remove size, stride, padding and antialiasing");
    p.require(out_channels_ <= in.c, "out_channels",
              fmt::format("out_channels={} is more than the {} channels of the input", out_channels_, in.c));
    output_ = {in.n, in.h, in.w, out_channels_};
    p.output(output_);
    p.keep(winner_, output_);
  }

  PoolingWindow pooling_;
  Antialiasing antialiasing_;
  int out_channels_ = 1;
  bool across_channels_ = false, out_channels_given_ = false;
  Window2 window_;
  Shape output_;
  View<int> winner_;
};

extern const LayerType maxpool = {"maxpool", "max", "the largest value under a sliding window",
                                  make<MaxPool>};

}  // namespace osprey
