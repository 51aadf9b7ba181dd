// [group_norm]: groups of channels normalised over one image, then scaled and shifted channel by channel,
// then an activation (cuda/group_norm.h has the formulas).
//
// With xn = (x - mean) / deviation, dz = dy activation'(z) and means over the values of a group, the
// gradients are
//   dbias = sum dz,   dscale = sum dz xn,   dx = (scale dz - mean(scale dz) - xn mean(scale dz xn)) /
//   deviation

#include "cuda/group_norm.h"

#include <algorithm>
#include <cmath>

#include "core/parallel.h"
#include "layers/channel_sums.h"
#include "layers/layer.h"
#include "layers/onnx_graph.h"
#include "layers/vector_loop.h"

namespace osprey {
namespace cpu {
namespace {

constexpr int kGrain = 16384;  // values worth a thread of their own

// What normalises a block of channels of one image, side by side on the stack.
struct ChannelBlock {
  static constexpr int kMost = 512;

  int first, count;
  float mean[kMost], inverse_deviation[kMost], scale[kMost], bias[kMost];
  float mean_dz[kMost], mean_product[kMost];  // of the group, for backward

  ChannelBlock(const GroupNorm& p, int image, int first, bool backward)
      : first(first), count(std::min(p.scale.shape.c - first, kMost)) {
    const int of_group = p.scale.shape.c / p.groups;
    for (int k = 0; k < count; ++k) {
      const int c = first + k, group = c / of_group;
      mean[k] = p.mean(image, 0, 0, group);
      inverse_deviation[k] = p.inverse_deviation(image, 0, 0, group);
      scale[k] = p.scale[c];
      bias[k] = p.bias[c];
      mean_dz[k] = backward ? p.means(image, 0, 0, group) : 0;
      mean_product[k] = backward ? p.means(image, 0, 1, group) : 0;
    }
  }
  ALWAYS_INLINE float normal(int k, float x) const { return (x - mean[k]) * inverse_deviation[k]; }
  ALWAYS_INLINE float result(int k, float normal) const { return normal * scale[k] + bias[k]; }
};

int pixels(Shape s) { return s.h * s.w; }

// body(block, first value of the block in a row), for every row of the image, on all threads.
template <class Body>
void for_rows(Shape shape, const GroupNorm& p, int image, bool backward, Body&& body) {
  for (int start = 0; start < shape.c; start += ChannelBlock::kMost) {
    const ChannelBlock block(p, image, start, backward);
    parallel_for(pixels(shape), 1 + kGrain / block.count, [&](int64_t first, int64_t last) {
      for (int row = int(first); row < int(last); ++row)
        body(block, (image * pixels(shape) + row) * shape.c + start);
    });
  }
}

// The sums of a group from those of its channels: take(group, sums), once its last channel has come.
template <class Take>
class GroupSums {
 public:
  GroupSums(int of_group, Take take) : of_group_(of_group), take_(take) {}
  void add(int c, double first, double second) {
    sums_.first += first;
    sums_.second += second;
    if ((c + 1) % of_group_ != 0) return;
    take_(c / of_group_, sums_);
    sums_ = {};
  }

 private:
  int of_group_;
  Take take_;
  Terms sums_;
};

void find_statistics(View<const float> x, const GroupNorm& p, int image) {
  const int rows = pixels(x.shape), c = x.shape.c, of_group = c / p.groups;
  const float* values = x.data + x.shape.index(image, 0, 0, 0);
  GroupSums groups(of_group, [&](int group, Terms sum) {
    const double count = double(rows) * of_group, mean = sum.first / count;
    const double variance = std::max(sum.second / count - mean * mean, 0.0);
    p.mean(image, 0, 0, group) = float(mean);
    p.inverse_deviation(image, 0, 0, group) = float(1 / std::sqrt(variance + p.epsilon));
  });
  channel_sums(
      rows, c,
      [=](int row, int k) {
        const double value = values[int64_t(row) * c + k];
        return Terms{value, value * value};
      },
      [&](int k, Terms sum) { groups.add(k, sum.first, sum.second); });
}

// The gradients of the parameters, and the two means of each group that dx needs.
template <class Act>
void sum_gradients(Act act, View<const float> x, View<const float> dy, const GroupNorm& p, int image) {
  const int rows = pixels(x.shape), c = x.shape.c, of_group = c / p.groups;
  GroupSums groups(of_group, [&](int group, Terms sum) {
    const double count = double(rows) * of_group;
    p.means(image, 0, 0, group) = float(sum.first / count);
    p.means(image, 0, 1, group) = float(sum.second / count);
  });
  for (int start = 0; start < c; start += ChannelBlock::kMost) {
    const ChannelBlock block(p, image, start, false);
    channel_sums(
        rows, block.count,
        [&, x, dy](int row, int k) {
          const int i = (image * rows + row) * c + start + k;
          const float normal = block.normal(k, x[i]), dz = dy[i] * slope(act, block.result(k, normal));
          return Terms{dz, double(dz) * normal};
        },
        [&](int k, Terms sum) {
          groups.add(start + k, block.scale[k] * sum.first, block.scale[k] * sum.second);
          if (!p.scale_gradient) return;
          p.bias_gradient[start + k] += float(sum.first);
          p.scale_gradient[start + k] += float(sum.second);
        });
  }
}

template <class Act>
void find_dx(Act act, View<const float> x, View<const float> dy, View<float> dx, bool add, const GroupNorm& p,
             int image) {
  for_rows(x.shape, p, image, true, [&, x, dy, dx](const ChannelBlock& block, int i) {
    VECTOR_LOOP
    for (int k = 0; k < block.count; ++k) {
      const float normal = block.normal(k, x[i + k]);
      const float dz = dy[i + k] * slope(act, block.result(k, normal));
      const float value = block.inverse_deviation[k] *
                          (block.scale[k] * dz - block.mean_dz[k] - normal * block.mean_product[k]);
      dx[i + k] = add ? dx[i + k] + value : value;
    }
  });
}

}  // namespace

void group_norm_forward(Stream&, View<const float> x, View<float> y, GroupNorm p) {
  for (int image = 0; image < x.shape.n; ++image) {
    find_statistics(x, p, image);
    with_activation(p.activation, [&, x, y](auto act) {
      for_rows(x.shape, p, image, false, [&, x, y](const ChannelBlock& block, int i) {
        VECTOR_LOOP
        for (int k = 0; k < block.count; ++k)
          y[i + k] = activate(act, block.result(k, block.normal(k, x[i + k])));
      });
    });
  }
}

void group_norm_backward(Stream&, View<const float> x, View<const float> dy, View<float> dx, bool add,
                         GroupNorm p) {
  const auto backward = [&](auto act) {
    for (int image = 0; image < x.shape.n; ++image) {
      sum_gradients(act, x, dy, p, image);
      if (dx) find_dx(act, x, dy, dx, add, p, image);
    }
  };
  // What networks have; the others take the switch for each value.
  if (p.activation == Activation::relu) return backward(FixedActivation<Activation::relu>{});
  if (p.activation == Activation::linear) return backward(FixedActivation<Activation::linear>{});
  backward(p.activation);
}

}  // namespace cpu

class GroupNormLayer final : public Layer, public OnnxLayer {
 public:
  void keys(Keys& k) override {
    k.integer("groups", norm_.groups, 32)
        .at_least(1)
        .help(
            "parts of the channels that are normalised each by itself: 1 is layer norm, as many as "
            "channels instance norm");
    k.real("eps", norm_.epsilon, 1e-5f).more_than(0).help("added to the variance");
    k.flag("frozen", frozen_, false).help("1: scales and biases are constants, and not trained");
    k.choice("activation", norm_.activation, Activation::linear, kActivationNames)
        .help("applied to every value");
  }

  void plan(Plan& p) override {
    const Shape in = p.input(), channels{1, 1, 1, in.c}, groups{in.n, 1, 1, norm_.groups};
    p.require(in.c % norm_.groups == 0, "groups",
              fmt::format("groups={} must divide the {} input channels", norm_.groups, in.c));
    p.output(in);
    // As batch norm's in Darknet's files: biases, scales.
    declare(p, norm_.bias, norm_.bias_gradient, channels, {.name = "biases", .role = Role::offset});
    declare(p, norm_.scale, norm_.scale_gradient, channels,
            {.name = "scales", .role = Role::offset, .fill = 1});
    if (p.on_gpu()) p.scratch(norm_.partial, group_norm_partial(in));
    if (!p.training()) {
      p.scratch(norm_.mean, groups);
      p.scratch(norm_.inverse_deviation, groups);
      p.in_place();
      return;
    }
    p.keep(norm_.mean, groups);
    p.keep(norm_.inverse_deviation, groups);
    p.scratch(norm_.means, {in.n, 1, 2, norm_.groups});
    p.backward_reads_input();
    p.obeys_writes();
  }

  void forward(Stream& s) override {
    on(s, cpu::group_norm_forward, cuda::group_norm_forward)(s, x(), y, norm_);
  }
  void backward(Stream& s) override {
    if (!dx() && frozen_) return;
    on(s, cpu::group_norm_backward, cuda::group_norm_backward)(s, x(), dy, dx(),
                                                               dx() && writes() == Write::add, norm_);
  }

  // Groups as the channels of an instance norm, which has no factors here.
  std::string to_onnx(OnnxGraph& g) const override {
    const Shape in = x().shape;
    const std::vector<float> ones(size_t(norm_.groups), 1), zeros(size_t(norm_.groups), 0);
    const std::string groups = g.reshaped(g.x(), {0, norm_.groups, -1});
    const std::string normal =
        g.add("InstanceNormalization",
              {groups, g.constant("ones", {norm_.groups}, ones), g.constant("zeros", {norm_.groups}, zeros)},
              {{"epsilon", norm_.epsilon}});
    const std::string pixels = g.reshaped(normal, {0, in.c, in.h, in.w});
    const std::string grown = g.add("Mul", {pixels, g.per_channel("scales", norm_.scale)});
    return g.activation(g.add("Add", {grown, g.per_channel("biases", norm_.bias)}), norm_.activation);
  }

 private:
  void declare(Plan& p, View<float>& value, View<float>& gradient, Shape shape, ParameterInfo info) const {
    if (frozen_)
      p.statistic(value, shape, info);
    else
      p.parameter(value, gradient, shape, info);
  }

  GroupNorm norm_;
  bool frozen_ = false;
};

extern const LayerType group_norm = {"group_norm", nullptr,
                                     "groups of channels of each image normalised, then an activation",
                                     make<GroupNormLayer>};

}  // namespace osprey
