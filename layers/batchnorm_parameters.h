// The parameters of batch normalisation in [batchnorm], [convolutional] and [connected], and the key that
// freezes them.
#pragma once

#include "cuda/batchnorm.h"
#include "cuda/fold.h"
#include "layers/layer.h"
#include "layers/onnx_graph.h"

namespace osprey {

inline void frozen_key(Keys& k, bool& frozen) {
  k.flag("frozen", frozen, false)
      .help(
          "1: batch norm uses the rolling mean and variance in training, too, and none of its values is "
          "trained");
}

// Without batch norm the bias alone. A frozen one is a constant, and so is no trained parameter; for a layer
// that is frozen only now that is true of this plan.
inline void declare_bias(Plan& p, BatchNorm& norm, Shape channels, float fill = 0) {
  const ParameterInfo info{"biases", Role::offset, FileOrder::plain, fill};
  norm.bias_gradient = {};
  if (norm.frozen)
    p.statistic(norm.bias, channels, info);
  else
    p.parameter(norm.bias, norm.bias_gradient, channels, info);
}

// Scale, mean and variance, in the order of Darknet's file. Frozen ones that nobody loads change nothing.
inline void declare_batchnorm(Plan& p, BatchNorm& norm, Shape channels) {
  ParameterInfo info{"scales", Role::offset, FileOrder::plain, 1};
  info.batch_scale = true;
  norm.scale_gradient = {};
  if (norm.frozen)
    p.statistic(norm.scale, channels, info);
  else
    p.parameter(norm.scale, norm.scale_gradient, channels, info);
  info.name = "rolling_mean";
  info.fill = 0;
  info.momentum = norm.frozen ? 0 : norm.momentum;
  p.statistic(norm.rolling_mean, channels, info);
  info.name = "rolling_variance";
  info.fill = norm.frozen ? 1 : 0;
  p.statistic(norm.rolling_variance, channels, info);
  norm.epsilon = p.options().batchnorm_epsilon;
  if (norm.frozen) return;
  p.keep(norm.mean, channels);
  p.keep(norm.inverse_deviation, channels);
}

// The names of weights {outputs, h, w, inputs} and biases with batch norm, or with the bias alone, folded in.
// The weights are as [outputs, inputs, h, w], or with `rows` as [outputs, inputs h w].
inline OnnxGraph::Names folded_to_onnx(OnnxGraph& g, View<const float> weights, const BatchNorm& b,
                                       bool rows) {
  std::vector<float> folded, biases;
  folded.resize(size_t(weights.size()));
  biases.resize(size_t(b.bias.size()));
  const View<float> w{folded.data(), weights.shape};
  Stream host;
  cpu::fold_batchnorm(host, weights, b, w, {biases.data(), b.bias.shape});
  return {rows ? g.weight_rows(w) : g.weights(w), g.constant("biases", {b.bias.size()}, biases)};
}

// Batch norm with the rolling statistics, without its activation.
inline std::string batchnorm_to_onnx(OnnxGraph& g, const std::string& x, const BatchNorm& b) {
  const auto values = [&](const char* name, View<const float> v) {
    return g.constant(name, {v.size()}, {v.begin(), v.end()});
  };
  return g.add("BatchNormalization",
               {x, values("scales", b.scale), values("biases", b.bias), values("mean", b.rolling_mean),
                values("variance", b.rolling_variance)},
               {{"epsilon", b.epsilon}});
}

}  // namespace osprey
