// The activation functions: value and slope, once, for both devices and every layer.
//
// slope() is the derivative at the input x. Where the derivative jumps the value is Darknet's, which is also
// PyTorch's: leaky'(0) = 0.1, relu'(0) = 0, relu6' = 0 at 0 and at 6.
#pragma once

#include <cmath>

#include "core/device.h"
#include "core/exponential.h"

namespace osprey {

enum class Activation {
  linear,
  logistic,
  loggy,
  relu,
  relu6,
  elu,
  selu,
  relie,
  ramp,
  leaky,
  revleaky,
  tanh,
  plse,
  stair,
  hardtan,
  lhtan,
  gelu,
  gelu_erf,
  swish,
  mish,
  hard_mish,
  hardswish,
  hardsigmoid,
  softplus,
  // These look at all channels of a pixel (cuda/channel_activation.h): not for activate() and slope().
  normalize_channels,
  normalize_channels_softmax,
  normalize_channels_softmax_maxval,
};

inline bool across_channels(Activation a) { return a >= Activation::normalize_channels; }

inline constexpr const char* kActivationNames[] = {
    "linear", "logistic", "loggy",    "relu", "relu6",     "elu",       "selu",        "relie",
    "ramp",   "leaky",    "revleaky", "tanh", "plse",      "stair",     "hardtan",     "lhtan",
    "gelu",   "gelu_erf", "swish",    "mish", "hard_mish", "hardswish", "hardsigmoid", "softplus"};

// For layers whose activation may also look at all channels of a pixel.
struct LayerActivationNames {
  const char* names[int(Activation::normalize_channels) + 3] = {};

  constexpr LayerActivationNames() {
    int count = 0;
    for (const char* name : kActivationNames) names[count++] = name;
    names[count++] = "normalize_channels";
    names[count++] = "normalize_channels_softmax";
    names[count++] = "normalize_channels_softmax_maxval";
  }
};
inline constexpr LayerActivationNames kLayerActivations;

HOST_DEVICE ALWAYS_INLINE float logistic(float x) { return 1.0f / (1.0f + exponential(-x)); }

// ln(1 + e^x) without overflow; beyond 20 it is x to the last bit.
HOST_DEVICE ALWAYS_INLINE float softplus(float x) { return x > 20.0f ? x : log1pf(exponential(x)); }

// mish(x) = x tanh(softplus(x)) = x n/(n + 2) with n = e^2x + 2e^x: one exponential instead of three calls.
// Misra, "Mish: A Self Regularized Non-Monotonic Activation Function", 2019.
HOST_DEVICE ALWAYS_INLINE float mish(float x) {
  const float e = exponential(x < 20.0f ? x : 20.0f), n = e * (e + 2.0f);
  return x * (n / (n + 2.0f));
}
HOST_DEVICE ALWAYS_INLINE float mish_slope(float x) {
  const float e = exponential(x < 20.0f ? x : 20.0f), n = e * (e + 2.0f), t = n / (n + 2.0f);
  return t + x * (1.0f - t * t) * (e / (1.0f + e));
}

HOST_DEVICE ALWAYS_INLINE float activate(Activation a, float x) {
  switch (a) {
    case Activation::linear:
      return x;
    case Activation::logistic:
      return logistic(x);
    case Activation::loggy:
      return 2.0f * logistic(x) - 1.0f;
    case Activation::relu:
      return x > 0 ? x : 0.0f;
    case Activation::relu6:
      return x > 0 ? (x < 6 ? x : 6.0f) : 0.0f;  // fminf would be a call
    case Activation::elu:
      return x >= 0 ? x : expm1f(x);
    case Activation::selu:
      return 1.0507009873554805f * (x >= 0 ? x : 1.6732632423543772f * expm1f(x));
    case Activation::relie:
      return x > 0 ? x : 0.01f * x;
    case Activation::ramp:
      return x > 0 ? 1.1f * x : 0.1f * x;
    case Activation::leaky:
    case Activation::revleaky:
      return x > 0 ? x : 0.1f * x;
    case Activation::tanh:
      return tanhf(x);
    case Activation::plse:
      return x < -4 ? 0.01f * (x + 4) : x > 4 ? 0.01f * (x - 4) + 1 : 0.125f * x + 0.5f;
    case Activation::stair: {
      const float n = floorf(x);
      return fmodf(n, 2.0f) == 0 ? floorf(x / 2) : x - n + floorf(x / 2);
    }
    case Activation::hardtan:
      return fminf(fmaxf(x, -1.0f), 1.0f);
    case Activation::lhtan:
      return x < 0 ? 0.001f * x : x > 1 ? 0.001f * (x - 1) + 1 : x;
    case Activation::gelu:
      return 0.5f * x * (1 + tanhf(0.7978845608f * x + 0.0356774081f * x * x * x));
    case Activation::gelu_erf:
      return 0.5f * x * (1 + erff(x * 0.7071067812f));
    case Activation::swish:
      return x * logistic(x);
    case Activation::mish:
      return mish(x);
    case Activation::hard_mish:
      return x > 0 ? x : x > -2 ? x * x / 2 + x : 0.0f;
    case Activation::hardswish:
      return x * fminf(fmaxf(x + 3, 0.0f), 6.0f) / 6;
    case Activation::hardsigmoid:
      return fminf(fmaxf(x + 3, 0.0f), 6.0f) / 6;
    case Activation::softplus:
      return softplus(x);
    default:
      return x;
  }
}

HOST_DEVICE ALWAYS_INLINE float slope(Activation a, float x) {
  switch (a) {
    case Activation::linear:
      return 1;
    case Activation::logistic: {
      const float y = logistic(x);
      return y * (1 - y);
    }
    case Activation::loggy: {
      const float t = logistic(x);
      return 2 * t * (1 - t);
    }
    case Activation::relu:
      return x > 0 ? 1.0f : 0.0f;
    case Activation::relu6:
      return x > 0 && x < 6 ? 1.0f : 0.0f;
    case Activation::elu:
      return x >= 0 ? 1.0f : expf(x);
    case Activation::selu:
      return 1.0507009873554805f * (x >= 0 ? 1.0f : 1.6732632423543772f * expf(x));
    case Activation::relie:
      return x > 0 ? 1.0f : 0.01f;
    case Activation::ramp:
      return x > 0 ? 1.1f : 0.1f;
    case Activation::leaky:
    case Activation::revleaky:
      return x > 0 ? 1.0f : 0.1f;
    case Activation::tanh: {
      const float y = tanhf(x);
      return 1 - y * y;
    }
    case Activation::plse:
      return x < -4 || x > 4 ? 0.01f : 0.125f;
    case Activation::stair: {
      const float n = floorf(x);
      return fmodf(n, 2.0f) == 0 || x == n ? 0.0f : 1.0f;
    }
    case Activation::hardtan:
      return x > -1 && x < 1 ? 1.0f : 0.0f;
    case Activation::lhtan:
      return x > 0 && x < 1 ? 1.0f : 0.001f;
    case Activation::gelu: {
      const float t = tanhf(0.7978845608f * x + 0.0356774081f * x * x * x);
      return 0.5f * (1 + t) + 0.5f * x * (1 - t * t) * (0.7978845608f + 0.1070322243f * x * x);
    }
    case Activation::gelu_erf:
      return 0.5f * (1 + erff(x * 0.7071067812f)) + x * 0.3989422804f * expf(-0.5f * x * x);
    case Activation::swish: {
      const float s = logistic(x);
      return s * (1 + x * (1 - s));
    }
    case Activation::mish:
      return mish_slope(x);
    case Activation::hard_mish:
      return x > 0 ? 1.0f : x > -2 ? x + 1 : 0.0f;
    case Activation::hardswish:
      return x <= -3 ? 0.0f : x >= 3 ? 1.0f : (2 * x + 3) / 6;
    case Activation::hardsigmoid:
      return x > -3 && x < 3 ? 1.0f / 6 : 0.0f;
    case Activation::softplus:
      return logistic(x);
    default:
      return 1;
  }
}

// Calls body with the activation as a compile-time constant, so that its loop carries no switch and
// vectorises:
//   with_activation(a, [&](auto act) { for (...) y[i] = activate(act, x[i]); });
template <Activation A>
struct FixedActivation {
  HOST_DEVICE constexpr operator Activation() const { return A; }
};
template <class Body>
void with_activation(Activation a, Body&& body) {
  switch (a) {
    case Activation::linear:
      return body(FixedActivation<Activation::linear>{});
    case Activation::leaky:
      return body(FixedActivation<Activation::leaky>{});
    case Activation::relu:
      return body(FixedActivation<Activation::relu>{});
    case Activation::relu6:
      return body(FixedActivation<Activation::relu6>{});
    case Activation::logistic:
      return body(FixedActivation<Activation::logistic>{});
    case Activation::swish:
      return body(FixedActivation<Activation::swish>{});
    case Activation::mish:
      return body(FixedActivation<Activation::mish>{});
    default:
      return body(a);  // rarely used ones take the switch in the loop
  }
}

}  // namespace osprey
