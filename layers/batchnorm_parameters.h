// The parameters of batch normalisation in [batchnorm], [convolutional] and [connected], and the key that
// freezes them.
#pragma once

#include "cuda/batchnorm.h"
#include "layers/layer.h"

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
  p.statistic(norm.rolling_mean, channels, info);
  info.name = "rolling_variance";
  info.fill = norm.frozen ? 1 : 0;
  p.statistic(norm.rolling_variance, channels, info);
  norm.epsilon = p.options().batchnorm_epsilon;
  if (norm.frozen) return;
  p.keep(norm.mean, channels);
  p.keep(norm.inverse_deviation, channels);
}

}  // namespace osprey
