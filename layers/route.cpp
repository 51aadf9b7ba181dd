// [route]: the channels of several layers, one after the other. With `groups`, of each layer only the
// group_id-th of so many equal parts of its channels (AlexeyAB, in yolov4-tiny).

#include "cuda/route.h"

#include <cstring>

#include "core/parallel.h"
#include "layers/layer.h"
#include "layers/onnx_graph.h"
#include "layers/vector_loop.h"

namespace osprey {
namespace cpu {

constexpr int kGrain = 16384;  // values worth a thread of their own

void route_forward(Stream&, Tensor x, int from, Tensor y, int to, int channels) {
  parallel_for(y.shape.rows(), 1 + kGrain / channels, [=](int64_t first, int64_t last) {
    for (int64_t row = first; row < last; ++row)
      std::memcpy(nth(y.data, row * y.shape.pitch + to, y.type),
                  nth(x.data, row * x.shape.pitch + from, x.type), size_t(channels) * bytes_of(y.type));
  });
}

void route_backward_overwrite(Stream& s, Tensor dy, int from, Tensor dx, int to, int channels) {
  if (channels < dx.shape.c) std::memset(dx.data, 0, dx.bytes());
  route_forward(s, dy, from, dx, to, channels);
}

namespace {

template <class T>
void backward(View<const T> dy, int from, View<T> dx, int to, int channels) {
  parallel_for(dx.shape.rows(), 1 + kGrain / channels, [=](int64_t first, int64_t last) {
    for (int row = int(first); row < int(last); ++row) {
      const int source = row * dy.shape.c + from, target = row * dx.shape.c + to;
      VECTOR_LOOP
      for (int c = 0; c < channels; ++c) dx[target + c] = dx[target + c] + dy[source + c];
    }
  });
}

}  // namespace

void route_backward(Stream&, Tensor dy, int from, Tensor dx, int to, int channels) {
  with_type(dx.type, [&](auto number) {
    using T = decltype(number);
    backward(dy.view<const T>(), from, dx.view<T>(), to, channels);
  });
}

}  // namespace cpu

class Route final : public Layer, public OnnxLayer {
 public:
  void keys(Keys& k) override {
    k.texts("layers", layers_).shown_as("from").help("the layers, by name or index; -1 is the one before");
    k.integer("groups", groups_, 1).at_least(1).help("equal parts into which each layer's channels are cut");
    k.integer("group_id", group_, 0).at_least(0).help("the part that is taken, counted from 0");
  }

  std::vector<std::string> sources() const override { return layers_.empty() ? Layer::sources() : layers_; }

  void plan(Plan& p) override {
    p.require(!layers_.empty() || !from.empty(), "layers must be given: the layers to concatenate");
    p.require(layers_.empty() || from.empty(), "layers", "give either layers or from, not both");
    p.require(group_ < groups_, "group_id",
              fmt::format("group_id must be less than groups, which is {}", groups_));
    const char* key = layers_.empty() ? "from" : "layers";
    Shape out = p.input();
    out.c = 0;
    for (int k = 0; k < p.inputs(); ++k) {
      const Shape in = p.input(k);
      p.require(in.h == out.h && in.w == out.w, key,
                fmt::format("layer {} is {} and layer {} is {}: heights and widths must agree", name(0),
                            p.input().text(), name(k), in.text()));
      p.require(in.c % groups_ == 0, "groups",
                fmt::format("the {} channels of layer {} cannot be cut into {} equal groups", in.c, name(k),
                            groups_));
      p.require(int64_t(out.c) + in.c / groups_ < (1 << 30), key, "the output would have too many channels");
      out.c += in.c / groups_;
    }
    p.output(out);
    if (p.inputs() == 1 && groups_ == 1) p.alias();
    p.obeys_writes();
  }

  void forward(Stream& s) override {
    int to = 0;
    for (size_t k = 0; k < inputs.size(); ++k) {
      const int channels = x(k).shape.c / groups_, from = group_ * channels;
      if (nth(x(k).data, from, y.type) != nth(y.data, to, y.type))  // else it is there
        on(s, cpu::route_forward, cuda::route_forward)(s, x(k), from, y, to, channels);
      to += channels;
    }
  }

  void backward(Stream& s) override {
    int from_channel = 0;
    for (size_t k = 0; k < input_gradients.size(); ++k) {
      const int channels = x(k).shape.c / groups_;
      if (dx(k) && dx(k).data != dy.data) {
        const bool add = writes(k) == Write::add;
        on(s, add ? cpu::route_backward : cpu::route_backward_overwrite,
           add ? cuda::route_backward : cuda::route_backward_overwrite)(s, dy, from_channel, dx(k),
                                                                        group_ * channels, channels);
      }
      from_channel += channels;
    }
  }

  bool takes_bf16(const BuildOptions&) const override { return true; }

  std::optional<Parts> concatenates() const override { return Parts{groups_, group_}; }
  bool makes_slice() const override { return true; }
  bool reads_slice(int) const override { return true; }

  std::string to_onnx(OnnxGraph& g) const override {
    OnnxGraph::Names parts;
    for (int k = 0; k < g.inputs(); ++k) {
      const int channels = x(k).shape.c / groups_, first = group_ * channels;
      parts.push_back(groups_ == 1 ? g.x(k) : g.slice(g.x(k), 1, first, first + channels));
    }
    return g.concatenated(parts, 1);
  }

 private:
  std::string name(int k) const { return "`" + sources().at(k) + "`"; }

  std::vector<std::string> layers_;
  int groups_ = 1, group_ = 0;
};

extern const LayerType route = {"route", nullptr, "the channels of several layers, side by side",
                                make<Route>};

}  // namespace osprey
