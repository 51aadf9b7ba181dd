// [activation]: one function of each value, y = f(x); the functions are in core/activations.h.

#include "cuda/activation.h"

#include "core/parallel.h"
#include "cuda/channel_activation.h"
#include "layers/layer.h"
#include "layers/onnx_graph.h"
#include "layers/output_activation.h"
#include "layers/vector_loop.h"

namespace osprey {
namespace cpu {

constexpr int kGrain = 16384;  // values worth a thread of their own

namespace {

template <class T>
void forward(View<const T> x, View<T> y, Activation a) {
  parallel_for(y.size(), kGrain, [=](int64_t first, int64_t last) {
    with_activation(a, [=](auto act) {
      VECTOR_LOOP
      for (int i = int(first); i < int(last); ++i) y[i] = activate(act, x[i]);
    });
  });
}

template <class T>
void backward(View<const T> x, View<const T> dy, View<T> dx, Activation a) {
  const bool in_place = dx.data == dy.data;
  parallel_for(dx.size(), kGrain, [=](int64_t first, int64_t last) {
    with_activation(a, [=](auto act) {
      if (in_place) {
        VECTOR_LOOP
        for (int i = int(first); i < int(last); ++i) dx[i] = dx[i] * slope(act, x[i]);
      } else {
        VECTOR_LOOP
        for (int i = int(first); i < int(last); ++i) dx[i] = dx[i] + dy[i] * slope(act, x[i]);
      }
    });
  });
}

}  // namespace

void activation_forward(Stream& s, Tensor x, Tensor y, Activation a) {
  if (across_channels(a)) return channel_activation_forward(s, x, y, a);
  with_type(y.type, [&](auto number) {
    using T = decltype(number);
    forward(x.view<const T>(), y.view<T>(), a);
  });
}

void activation_backward(Stream& s, Tensor x, Tensor dy, Tensor dx, Activation a) {
  if (across_channels(a)) return channel_activation_backward(s, x, dy, dx, a);
  with_type(dx.type, [&](auto number) {
    using T = decltype(number);
    backward(x.view<const T>(), dy.view<const T>(), dx.view<T>(), a);
  });
}

}  // namespace cpu

class ActivationLayer final : public Layer, public OnnxLayer {
 public:
  void keys(Keys& k) override {
    k.choice("activation", kind_, Activation::linear, kLayerActivations.names)
        .help("the function of each value");
  }

  void plan(Plan& p) override {
    p.output(p.input());
    if (slope_from_output(kind_)) {
      p.in_place();
      p.backward_reads_output();
    } else {
      if (!p.training()) p.in_place();
      p.backward_reads_input();
    }
  }

  void forward(Stream& s) override {
    on(s, cpu::activation_forward, cuda::activation_forward)(s, x(), y, kind_);
  }
  void backward(Stream& s) override {
    if (dx())
      on(s, cpu::activation_backward, cuda::activation_backward)(s, forward_values(), dy, dx(), kind_);
  }

  std::string to_onnx(OnnxGraph& g) const override { return g.activation(g.x(), kind_); }

 private:
  Tensor forward_values() const { return slope_from_output(kind_) ? y : x(); }

  Activation kind_ = Activation::linear;
};

extern const LayerType activation = {"activation", nullptr, "one function of each value",
                                     make<ActivationLayer>};

}  // namespace osprey
