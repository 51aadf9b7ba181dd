// [batchnorm]: each channel normalised over the mini-batch, then scaled and shifted (cuda/batchnorm.h has the
// formulas). [convolutional] and [connected] use the same functions for their batch_normalize=1.
//
// With xn = (x - mean) / deviation, dz = dy activation'(z) and n values to a channel, the gradients are
//   dbias = sum dz,   dscale = sum dz xn,   dx = scale / deviation (dz - dbias / n - xn dscale / n)

#include "cuda/batchnorm.h"

#include <algorithm>
#include <cmath>

#include "core/parallel.h"
#include "layers/batchnorm_parameters.h"
#include "layers/channel_sums.h"
#include "layers/layer.h"
#include "layers/onnx_graph.h"
#include "layers/vector_loop.h"

namespace osprey {
namespace cpu {
namespace {

constexpr int kGrain = 16384;  // values worth a thread of their own

// What normalises a block of channels, side by side on the stack: the caller has no memory to lend.
struct ChannelBlock {
  static constexpr int kMost = 512;

  int first, count;
  float mean[kMost], inverse_deviation[kMost], scale[kMost], bias[kMost];

  ChannelBlock(const BatchNorm& b, int first, bool rolling)
      : first(first), count(std::min(b.scale.shape.c - first, kMost)) {
    for (int k = 0; k < count; ++k) {
      const int c = first + k;
      mean[k] = rolling ? b.rolling_mean[c] : b.mean[c];
      inverse_deviation[k] =
          rolling ? 1 / std::sqrt(b.rolling_variance[c] + b.epsilon) : b.inverse_deviation[c];
      scale[k] = b.scale[c];
      bias[k] = b.bias[c];
    }
  }
  ALWAYS_INLINE float normal(int k, float x) const { return (x - mean[k]) * inverse_deviation[k]; }
};

template <class T>
void normalise(View<const T> x, View<T> y, const BatchNorm& b, bool rolling) {
  const int c = x.shape.c;
  for (int start = 0; start < c; start += ChannelBlock::kMost) {
    const ChannelBlock block(b, start, rolling);
    parallel_for(x.shape.rows(), 1 + kGrain / block.count, [&, x, y](int64_t first, int64_t last) {
      with_activation(b.activation, [&, x, y](auto act) {
        for (int row = int(first); row < int(last); ++row) {
          const int i = row * c + start;
          VECTOR_LOOP
          for (int k = 0; k < block.count; ++k)
            y[i + k] = activate(act, block.normal(k, x[i + k]) * block.scale[k] + block.bias[k]);
        }
      });
    });
  }
}

// The gradient before the activation, at a value whose normalised form is `normal`.
template <class Act>
ALWAYS_INLINE float before_activation(Act act, const ChannelBlock& block, int k, float normal, float dy) {
  return dy * slope(act, normal * block.scale[k] + block.bias[k]);
}

// dscale and dbias of a block, and the two means over rows that dx needs: of dz, and of dz times the normal.
template <class Act, class T>
void sum_gradients(Act act, View<const T> x, View<const T> dy, const ChannelBlock& block, const BatchNorm& b,
                   float* mean_dz, float* mean_product) {
  const int rows = x.shape.rows(), c = x.shape.c;
  channel_sums(
      rows, block.count,
      [&, x, dy](int row, int k) {
        const int i = row * c + block.first + k;
        const float normal = block.normal(k, x[i]), dz = before_activation(act, block, k, normal, dy[i]);
        return Terms{dz, double(dz) * normal};
      },
      [&](int k, Terms sum) {
        b.bias_gradient[block.first + k] += float(sum.first);
        b.scale_gradient[block.first + k] += float(sum.second);
        if (b.frozen) return;
        mean_dz[k] = float(sum.first / rows);
        mean_product[k] = float(sum.second / rows);
      });
}

// Two passes over memory for each block of channels; dz is computed in both, which costs less than to store
// it.
template <class Act, class T>
void backward_block(Act act, View<const T> x, View<const T> dy, View<T> dx, const ChannelBlock& block,
                    const BatchNorm& b) {
  float mean_dz[ChannelBlock::kMost] = {}, mean_product[ChannelBlock::kMost] = {};  // 0 if frozen
  if (b.has_sums()) sum_gradients(act, x, dy, block, b, mean_dz, mean_product);
  const int c = x.shape.c;
  const bool in_place = dx.data == dy.data;
  parallel_for(x.shape.rows(), 1 + kGrain / block.count, [&, x, dy, dx](int64_t first, int64_t last) {
    for (int row = int(first); row < int(last); ++row) {
      const int i = row * c + block.first;
      VECTOR_LOOP
      for (int k = 0; k < block.count; ++k) {
        const float normal = block.normal(k, x[i + k]);
        const float dz = before_activation(act, block, k, normal, dy[i + k]);
        const float value =
            block.scale[k] * block.inverse_deviation[k] * (dz - mean_dz[k] - normal * mean_product[k]);
        dx[i + k] = in_place ? value : dx[i + k] + value;
      }
    }
  });
}

// dy becomes dz: for slopes that cost more than another pass over memory.
template <class T>
void pass_activation(View<const T> x, View<T> dy, const BatchNorm& b) {
  const int c = x.shape.c;
  for (int start = 0; start < c; start += ChannelBlock::kMost) {
    const ChannelBlock block(b, start, b.frozen);
    parallel_for(x.shape.rows(), 1 + kGrain / block.count, [&, x, dy](int64_t first, int64_t last) {
      with_activation(b.activation, [&, x, dy](auto act) {
        for (int row = int(first); row < int(last); ++row) {
          const int i = row * c + start;
          VECTOR_LOOP
          for (int k = 0; k < block.count; ++k)
            dy[i + k] = before_activation(act, block, k, block.normal(k, x[i + k]), dy[i + k]);
        }
      });
    });
  }
}

template <class T>
void forward_training(View<const T> x, View<T> y, BatchNorm b) {
  if (b.frozen) return normalise(x, y, b, true);
  const int rows = x.shape.rows(), c = x.shape.c;
  channel_sums(
      rows, c,
      [=](int row, int k) {
        const double value = x[row * c + k];
        return Terms{value, value * value};
      },
      [&](int k, Terms sum) {
        const double mean = sum.first / rows, variance = std::max(sum.second / rows - mean * mean, 0.0);
        const double unbiased = variance * rows / std::max(rows - 1, 1);
        b.mean[k] = float(mean);
        b.inverse_deviation[k] = float(1 / std::sqrt(variance + b.epsilon));
        b.rolling_mean[k] += b.momentum * (float(mean) - b.rolling_mean[k]);
        b.rolling_variance[k] += b.momentum * (float(unbiased) - b.rolling_variance[k]);
      });
  normalise(x, y, b, false);
}

template <class T>
void backward(View<const T> x, View<T> dy, View<T> dx, BatchNorm b) {
  const auto blocks = [&](auto act) {
    for (int start = 0; start < x.shape.c; start += ChannelBlock::kMost)
      backward_block(act, x, View<const T>(dy), dx, ChannelBlock(b, start, b.frozen), b);
  };
  if (b.activation == Activation::leaky) return blocks(FixedActivation<Activation::leaky>{});
  if (b.activation == Activation::relu) return blocks(FixedActivation<Activation::relu>{});
  if (b.activation != Activation::linear) pass_activation(x, dy, b);
  blocks(FixedActivation<Activation::linear>{});
}

}  // namespace

void batchnorm_forward_training(Stream&, Tensor x, Tensor y, BatchNorm b) {
  with_type(y.type, [&](auto number) {
    using T = decltype(number);
    forward_training(x.view<const T>(), y.view<T>(), b);
  });
}

void batchnorm_forward_inference(Stream&, Tensor x, Tensor y, BatchNorm b) {
  with_type(y.type, [&](auto number) {
    using T = decltype(number);
    normalise(x.view<const T>(), y.view<T>(), b, true);
  });
}

void batchnorm_backward(Stream&, Tensor x, Tensor dy, Tensor dx, BatchNorm b) {
  with_type(dx.type, [&](auto number) {
    using T = decltype(number);
    backward(x.view<const T>(), dy.view<T>(), dx.view<T>(), b);
  });
}

}  // namespace cpu

class BatchNormLayer final : public Layer, public OnnxLayer {
 public:
  void keys(Keys& k) override { frozen_key(k, frozen_); }

  // The order of AlexeyAB's file; pjreddie's has no biases and another order.
  void plan(Plan& p) override {
    const Shape in = p.input(), channels{1, 1, 1, in.c};
    p.output(in);
    norm_.frozen = frozen_ || p.options().frozen;
    declare_bias(p, norm_, channels);
    declare_batchnorm(p, norm_, channels);
    training_ = p.training();
    if (training_ && p.on_gpu() && !norm_.frozen) p.scratch(norm_.partial, batchnorm_partial(in));
    if (training_)
      p.backward_reads_input();
    else
      p.in_place();
  }

  void forward(Stream& s) override {
    if (training_)
      on(s, cpu::batchnorm_forward_training, cuda::batchnorm_forward_training)(s, x(), y, norm_);
    else
      on(s, cpu::batchnorm_forward_inference, cuda::batchnorm_forward_inference)(s, x(), y, norm_);
  }
  void backward(Stream& s) override {
    const Tensor dz =
        dx() ? dx() : dy;  // dy may be destroyed, and the parameters' gradients are wanted anyway
    if (dx() || norm_.has_sums())
      on(s, cpu::batchnorm_backward, cuda::batchnorm_backward)(s, x(), dy, dz, norm_);
  }

  std::string to_onnx(OnnxGraph& g) const override { return batchnorm_to_onnx(g, g.x(), norm_); }

 private:
  BatchNorm norm_;
  bool frozen_ = false, training_ = false;
};

extern const LayerType batchnorm = {"batchnorm", nullptr, "each channel normalised over the mini-batch",
                                    make<BatchNormLayer>};

}  // namespace osprey
