// [shortcut]: the sum of the layer before and the layers `from`, then an activation.
//
//   y = activation(u_0 x_0 + u_1 x_1 + ...)
//
// The factors u are 1, or learned: one for each layer (per_feature, per_layer), or one for each channel of
// each layer (per_channel), and may be normalised over the layers (AlexeyAB, after BiFPN: Tan et al.,
// "EfficientDet", 2020), with v = max(w, 0.001):
//
//   relu:  u_i = v_i / (0.0001 + sum v)       softmax:  u_i = e^(w_i - m) / (0.0001 + sum e^(w - m)), m = max
//   w
//
// Layers may differ in channels: only the first min(c) take part. Where heights and widths differ, pjreddie's
// rule holds: the larger is sampled at every (larger / smaller)-th pixel. His alpha and beta scale the two
// layers where they meet, and leave x_0 as it is where x_1 has nothing to add.

#include "cuda/shortcut.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/parallel.h"
#include "layers/channel_sums.h"
#include "layers/layer.h"
#include "layers/onnx_graph.h"
#include "layers/output_activation.h"
#include "layers/vector_loop.h"

namespace osprey {

namespace cpu {
namespace {

constexpr int kGrain = 16384;  // values worth a thread of their own

template <class T>
void sum(View<const T> a, View<const T> b, View<T> y) {
  const int c = y.shape.c, both = std::min(c, b.shape.c);
  parallel_for(y.shape.rows(), 1 + kGrain / c, [=](int64_t first, int64_t last) {
    for (int row = int(first); row < int(last); ++row) {
      VECTOR_LOOP
      for (int k = 0; k < both; ++k) y[row * c + k] = a[row * c + k] + b[row * b.shape.c + k];
      if (y.data != a.data) std::copy(&a.data[row * c + both], &a.data[row * c + c], &y.data[row * c + both]);
    }
  });
}

template <class T>
void scale(View<const T> from, View<T> to, Factor factor) {
  const int c = to.shape.c;
  parallel_for(to.shape.rows(), 1 + kGrain / c, [=](int64_t first, int64_t last) {
    for (int row = int(first); row < int(last); ++row) {
      VECTOR_LOOP
      for (int k = 0; k < c; ++k) to[row * c + k] = factor(k) * from[row * c + k];
    }
  });
}

// Where they meet: to = alpha to + factor from.
template <class T>
void add(Meeting m, View<const T> from, int from_step, View<T> to, int to_step, Factor factor, float alpha) {
  parallel_for(to.shape.n * m.h, 1 + kGrain / (int64_t(m.w) * m.c), [=](int64_t first, int64_t last) {
    for (int row = int(first); row < int(last); ++row) {
      const int n = row / m.h, h = row % m.h;
      for (int w = 0; w < m.w; ++w) {
        const T* x = &from[from.shape.index(n, h * from_step, w * from_step, 0)];
        T* y = &to[to.shape.index(n, h * to_step, w * to_step, 0)];
        VECTOR_LOOP
        for (int k = 0; k < m.c; ++k) y[k] = alpha * y[k] + factor(k) * x[k];
      }
    }
  });
}

}  // namespace

void shortcut_sum(Stream&, Tensor a, Tensor b, Tensor y) {
  with_type(y.type, [&](auto number) {
    using T = decltype(number);
    sum(a.view<const T>(), b.view<const T>(), y.view<T>());
  });
}

void shortcut_scale(Stream&, Tensor from, Tensor to, Factor factor) {
  with_type(to.type, [&](auto number) {
    using T = decltype(number);
    scale(from.view<const T>(), to.view<T>(), factor);
  });
}

void shortcut_add(Stream&, Tensor x, Tensor y, Factor factor, float alpha, Meeting m) {
  with_type(y.type, [&](auto number) {
    using T = decltype(number);
    add(m, x.view<const T>(), m.x_step, y.view<T>(), m.y_step, factor, alpha);
  });
}

void shortcut_backward(Stream&, Tensor dy, Tensor dx, Factor factor, Meeting m) {
  with_type(dx.type, [&](auto number) {
    using T = decltype(number);
    add(m, dy.view<const T>(), m.y_step, dx.view<T>(), m.x_step, factor, 1);
  });
}

void shortcut_backward_overwrite(Stream& s, Tensor dy, Tensor dx, Factor factor, Meeting m) {
  if (dx.shape == dy.shape && m.c == dx.shape.c)
    return shortcut_scale(s, dy, dx, factor);  // they meet everywhere
  std::memset(dx.data, 0, dx.bytes());
  shortcut_backward(s, dy, dx, factor, m);
}

namespace {

// The weights of one channel, one for each layer, and what normalising makes of them.
struct ChannelWeights {
  View<const float> weights;  // [1, 1, layers, 1 or c]
  WeightNormalisation how;
  int channel;
  float largest = 0, sum = kWeightEpsilon;

  ChannelWeights(View<const float> w, WeightNormalisation how, int c)
      : weights(w), how(how), channel(w.shape.c == 1 ? 0 : c) {
    for (int k = 0; k < w.shape.w; ++k) largest = k == 0 ? at(k) : std::max(largest, at(k));
    for (int k = 0; k < w.shape.w; ++k) sum += raw(k);
  }
  float at(int k) const { return weights(0, 0, k, channel); }
  float raw(int k) const {
    return how == WeightNormalisation::softmax ? std::exp(at(k) - largest) : std::max(at(k), kWeightFloor);
  }
  float factor(int k) const { return how == WeightNormalisation::none ? at(k) : raw(k) / sum; }
};

}  // namespace

void shortcut_factors(Stream&, View<const float> weights, View<float> factors, WeightNormalisation how) {
  for (int c = 0; c < factors.shape.c; ++c) {
    const ChannelWeights u(weights, how, c);
    for (int k = 0; k < factors.shape.w; ++k) factors(0, 0, k, c) = u.factor(k);
  }
}

void shortcut_factor_gradients(Stream&, View<const float> dy, View<const float> x,
                               View<float> factor_gradients, int k, View<float>) {
  const int both = std::min(dy.shape.c, x.shape.c);
  for (int c = both; c < dy.shape.c; ++c) factor_gradients(0, 0, k, c) = 0;
  channel_sums(
      dy.shape.rows(), both,
      [=](int row, int c) {
        return Terms{double(dy[row * dy.shape.c + c]) * double(x[row * x.shape.c + c]), 0};
      },
      [=](int c, Terms sum) { factor_gradients(0, 0, k, c) = float(sum.first); });
}

// In softmax the largest weight also moves m, which matters because of the
// epsilon.
void shortcut_weight_gradients(Stream&, View<const float> weights, View<float> factor_gradients,
                               View<float> weight_gradients, WeightNormalisation how) {
  const int layers = weights.shape.w;
  for (int c = 0; c < factor_gradients.shape.c; ++c) {
    const ChannelWeights u(weights, how, c);
    float mean = 0;  // of the factors' gradients, weighted by the factors
    for (int k = 0; k < layers; ++k) mean += factor_gradients(0, 0, k, c) * u.factor(k);
    bool moved = false;
    for (int k = 0; k < layers; ++k) {
      const float g = factor_gradients(0, 0, k, c);
      float& gradient = weight_gradients(0, 0, k, u.channel);
      if (how == WeightNormalisation::none) {
        gradient += g;
      } else if (how == WeightNormalisation::softmax) {
        gradient += u.factor(k) * (g - mean);
        if (!moved && u.at(k) == u.largest) gradient -= mean * kWeightEpsilon / u.sum, moved = true;
      } else if (u.at(k) > kWeightFloor) {
        gradient += (g - mean) / u.sum;
      }
    }
  }
}

}  // namespace cpu

class Shortcut final : public Layer, public OnnxLayer {
 public:
  void keys(Keys& k) override {
    activation_.keys(k, Activation::linear);
    k.choice("weights_type", weighting_, Weighting::none, kWeightings)
        .help("a learned factor for each layer (per_feature or per_layer), or for each of its channels");
    k.choice("weights_normalization", normalisation_, WeightNormalisation::none, kNormalisations)
        .help("how the factors are made to sum up to about 1");
    k.real("alpha", alpha_, 1).help("factor of the layer before, where the other one has values");
    k.real("beta", beta_, 1).help("factor of the other layer");
  }

  std::vector<std::string> sources() const override {
    std::vector<std::string> all = {"-1"};
    all.insert(all.end(), from.begin(), from.end());
    return all;
  }

  void plan(Plan& p) override {
    p.require(!from.empty(), "from must be given: the layer to add");
    p.require(weighting_ != Weighting::none || normalisation_ == WeightNormalisation::none,
              "weights_normalization", "weights_normalization needs a weights_type");
    p.require(!scaled() || (p.inputs() == 2 && weighting_ == Weighting::none), alpha_ != 1 ? "alpha" : "beta",
              "alpha and beta go with one layer in from and no weights_type");
    p.output(p.input());
    meetings_.assign(1, {});
    for (int k = 1; k < p.inputs(); ++k) meetings_.push_back(meet(p, k));
    if (weighting_ != Weighting::none) plan_weights(p);
    // A layer that is added to itself must not be overwritten before it is read again.
    if (plain() && p.inputs() == 2) p.in_place();
    equal_shapes_ = p.inputs() == 2 && p.input(0) == p.input(1);
    activation_.plan(p);
    p.obeys_writes();
  }

  void forward(Stream& s) override {
    const Tensor sum = activation_.target(y);
    if (weights_) on(s, cpu::shortcut_factors, cuda::shortcut_factors)(s, weights_, factors_, normalisation_);
    size_t k = 1;
    if (plain() && same_image(1))
      on(s, cpu::shortcut_sum, cuda::shortcut_sum)(s, x(0), x(k++), sum);
    else if (weights_ || sum.data != x(0).data)
      on(s, cpu::shortcut_scale, cuda::shortcut_scale)(s, x(0), sum, factor(0));
    for (; k < inputs.size(); ++k)
      on(s, cpu::shortcut_add, cuda::shortcut_add)(s, x(k), sum, factor(k), alpha_, meetings_[k]);
    activation_.forward(s, y);
  }

  void backward(Stream& s) override {
    activation_.backward(s, y, dy);
    if (weights_) backward_weights(s);
    for (size_t k = 0; k < input_gradients.size(); ++k) {
      if (!dx(k) || dx(k).data == dy.data) continue;
      const Meeting m = k == 0 ? Meeting{y.shape.h, y.shape.w, y.shape.c} : meetings_[k];
      const bool add = writes(k) == Write::add;
      on(s, add ? cpu::shortcut_backward : cpu::shortcut_backward_overwrite,
         add ? cuda::shortcut_backward : cuda::shortcut_backward_overwrite)(s, dy, dx(k), factor(k), m);
      if (k == 0 && alpha_ != 1) {
        const Meeting& other = meetings_[1];
        on(s, cpu::shortcut_backward, cuda::shortcut_backward)(
            s, dy, dx(0), Factor{{}, alpha_ - 1},
            Meeting{other.h, other.w, other.c, other.y_step, other.y_step});
      }
    }
  }

  bool takes_bf16(const BuildOptions&) const override {
    return weighting_ == Weighting::none && !across_channels(activation_.kind);
  }

  std::optional<Activation> plain_sum() const override {
    return plain() && equal_shapes_ ? std::optional(activation_.kind) : std::nullopt;
  }

  std::string to_onnx(OnnxGraph& g) const override {
    std::vector<float> factors(size_t(factors_.shape.elements()));
    const View<float> of_layers{factors.data(), factors_.shape};
    Stream host;
    if (weights_) cpu::shortcut_factors(host, weights_, of_layers, normalisation_);
    const auto times_factor = [&](const std::string& value, int k, int channels, float all) {
      if (!weights_) return g.scaled(value, all);
      const View<const float> each{&of_layers(0, 0, k, 0), {1, 1, 1, channels}};
      return g.add("Mul", {value, g.per_channel("factors", each)});
    };
    const Shape whole = y.shape;
    const Meeting& met = meetings_[1];
    g.require(alpha_ == 1 || (met.h == whole.h && met.w == whole.w && met.c == whole.c), "alpha",
              "alpha counts only where the two layers meet, and they do not everywhere");
    std::string sum = times_factor(g.x(), 0, whole.c, alpha_);
    for (int k = 1; k < g.inputs(); ++k) {
      const Meeting& m = meetings_[size_t(k)];
      std::string part = times_factor(part_that_meets(g, k), k, m.c, beta_);
      if (m.c < whole.c) part = g.padded(part, {0, 0, 0, 0}, {0, whole.c - m.c, 0, 0});
      sum = g.add("Add", {sum, part});
    }
    return g.activation(sum, activation_.kind);
  }

 private:
  enum class Weighting { none, per_feature, per_layer, per_channel };
  static constexpr const char* kWeightings[] = {"none", "per_feature", "per_layer", "per_channel"};
  static constexpr const char* kNormalisations[] = {"none", "relu", "avg_relu", "softmax"};

  bool scaled() const { return alpha_ != 1 || beta_ != 1; }
  bool plain() const { return weighting_ == Weighting::none && !scaled(); }
  bool same_image(size_t k) const { return meetings_[k].x_step == 1 && meetings_[k].y_step == 1; }

  Factor factor(size_t k) const {
    if (weights_) return {{&factors_(0, 0, int(k), 0), {1, 1, 1, factors_.shape.c}}, 1};
    return {{}, k == 0 ? 1 : beta_};
  }

  Meeting meet(const Plan& p, int k) const {
    const Shape x = p.input(k), y = p.input(0);
    Meeting m{std::min(x.h, y.h), std::min(x.w, y.w), std::min(x.c, y.c), std::max(1, x.w / y.w),
              std::max(1, y.w / x.w)};
    const bool fits = x.w * m.y_step == y.w * m.x_step && x.h * m.y_step == y.h * m.x_step;
    p.require(fits, "from",
              fmt::format("layer `{}` is {} and the layer before is {}: heights and widths must be equal, or "
                          "multiples",
                          sources().at(k), x.text(), y.text()));
    p.require(
        weighting_ == Weighting::none || (m.x_step == 1 && m.y_step == 1), "from",
        fmt::format("layer `{}` is {} and the layer before is {}: with weights_type, heights and widths must "
                    "be equal",
                    sources().at(k), x.text(), y.text()));
    return m;
  }

  // Of input k, in the height and width of y: with zeros between its pixels if it is smaller.
  std::string part_that_meets(OnnxGraph& g, int k) const {
    const Meeting& m = meetings_[size_t(k)];
    std::string part = g.x(k);
    if (m.c < x(k).shape.c) part = g.slice(part, 1, 0, m.c);
    if (m.x_step > 1) {
      part = g.slice(part, 2, 0, int64_t(m.h) * m.x_step, m.x_step);
      part = g.slice(part, 3, 0, int64_t(m.w) * m.x_step, m.x_step);
    }
    if (m.y_step > 1) {
      const int64_t zeros = m.y_step - 1;
      part = g.padded(g.reshaped(part, {0, m.c, m.h, 1, m.w, 1}), {0, 0, 0, 0, 0, 0},
                      {0, 0, 0, zeros, 0, zeros});
      part = g.reshaped(part, {0, m.c, y.shape.h, y.shape.w});
    }
    return part;
  }

  void plan_weights(Plan& p) {
    const int c = p.input().c, layers = p.inputs();
    ParameterInfo info{.name = "weights", .fill = 1};
    p.parameter(weights_, weight_gradients_, {1, 1, layers, weighting_ == Weighting::per_channel ? c : 1},
                info);
    p.scratch(factors_, {1, 1, layers, c});
    if (!p.training()) return;
    p.scratch(factor_gradients_, {1, 1, layers, c});
    if (p.on_gpu()) p.scratch(partial_, shortcut_partial(p.output_shape()));
    for (int k = 0; k < layers; ++k) p.backward_reads_input(k);
  }

  void backward_weights(Stream& s) {
    on(s, cpu::shortcut_factors, cuda::shortcut_factors)(s, weights_, factors_, normalisation_);
    for (size_t k = 0; k < inputs.size(); ++k)
      on(s, cpu::shortcut_factor_gradients, cuda::shortcut_factor_gradients)(s, dy, x(k), factor_gradients_,
                                                                             int(k), partial_);
    on(s, cpu::shortcut_weight_gradients, cuda::shortcut_weight_gradients)(s, weights_, factor_gradients_,
                                                                           weight_gradients_, normalisation_);
  }

  OutputActivation activation_;
  Weighting weighting_ = Weighting::none;
  WeightNormalisation normalisation_ = WeightNormalisation::none;
  float alpha_ = 1, beta_ = 1;
  bool equal_shapes_ = false;
  std::vector<Meeting> meetings_;  // of each input with the output; the first is not used
  View<float> weights_, weight_gradients_, factors_, factor_gradients_, partial_;
};

extern const LayerType shortcut = {"shortcut", nullptr, "the sum of several layers, then an activation",
                                   make<Shortcut>};

}  // namespace osprey
