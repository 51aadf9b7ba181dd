// What a value, or a box, costs, and how fast that grows: losses of detectors, once for both devices.
// Slopes are derivatives (Darknet's own losses, which are not, are with its heads).
#pragma once

#include <cmath>

#include "core/eiou.h"
#include "core/exponential.h"
#include "core/nwd.h"

namespace osprey {

struct LossAndSlope {
  float loss, slope;
};

// ln(1 + e^x), for any x.
HOST_DEVICE inline float stable_softplus(float x) { return fmaxf(x, 0) + log1pf(expf(-fabsf(x))); }

// 0.5 d^2/beta where |d| < beta, else |d| - 0.5 beta; with beta 0 plain L1, without a slope at 0.
// "Fast R-CNN", Girshick, ICCV 2015, eq. 3 has beta 1; torchvision's RPN and box head 1/9.
HOST_DEVICE inline LossAndSlope smooth_l1(float x, float target, float beta) {
  const float d = x - target, size = fabsf(d);
  if (size < beta) return {0.5f * d * d / beta, d / beta};
  return {size - 0.5f * beta, d > 0 ? 1.0f : d < 0 ? -1.0f : 0.0f};
}

// Binary cross entropy of a logistic's argument and a target of 0 to 1.
HOST_DEVICE inline LossAndSlope bce_with_logits(float x, float target) {
  return {fmaxf(x, 0) - x * target + log1pf(expf(-fabsf(x))), 1 / (1 + expf(-x)) - target};
}

// ln(1 + x) for 0 <= x <= 1, without a call, so that loops vectorise: 2 artanh(x / (2 + x)): its argument is
// at most 1/3, so eight terms of the series leave less than the rounding of a float, relative to small
// results, too.
HOST_DEVICE ALWAYS_INLINE float logarithm_of_1_plus(float x) {
  const float t = x / (2.0f + x), s = t * t;
  float p = 1.0f / 15;
  p = p * s + 1.0f / 13;
  p = p * s + 1.0f / 11;
  p = p * s + 1.0f / 9;
  p = p * s + 1.0f / 7;
  p = p * s + 1.0f / 5;
  p = p * s + 1.0f / 3;
  p = p * s + 1.0f;
  return 2.0f * t * p;
}

// -a (1 - p)^gamma ln p, where p is the probability of what is true and a is alpha for an object (target 1),
// 1 - alpha for background (target 0), and 1 for both if alpha is negative. gamma is at least 0.
// "Focal Loss for Dense Object Detection", Lin et al., ICCV 2017, eq. 5 (alpha 0.25, gamma 2); its slope is
// appendix B's, with alpha. One exponential serves the loss and both probabilities: a head has it for every
// class of every anchor.
HOST_DEVICE ALWAYS_INLINE LossAndSlope sigmoid_focal(float x, float target, float alpha, float gamma) {
  const bool object = target > 0.5f;
  const float sign = object ? 1.0f : -1.0f, wrong = -sign * x;  // the logit of what is not true
  const float e = exponential(-fabsf(x)), large = 1 / (1 + e), small = e * large;
  const float ce = (wrong > 0 ? wrong : 0) + logarithm_of_1_plus(e);
  const float p = wrong > 0 ? small : large, missing = wrong > 0 ? large : small;
  const float power = gamma == 2 ? missing * missing : powf(missing, gamma);
  const float factor = (alpha < 0 ? 1 : object ? alpha : 1 - alpha) * power;
  return {factor * ce, -sign * factor * (gamma * p * ce + missing)};
}

// A loss of single values, chosen when the network is built.
struct ValueLoss {
  enum class Kind { smooth_l1, bce, focal } kind = Kind::smooth_l1;
  float beta = 1;
  float alpha = 0.25f, gamma = 2;

  HOST_DEVICE LossAndSlope cost(float x, float target) const {
    switch (kind) {
      case Kind::smooth_l1:
        return smooth_l1(x, target, beta);
      case Kind::bce:
        return bce_with_logits(x, target);
      case Kind::focal:
        return sigmoid_focal(x, target, alpha, gamma);
    }
    return {0, 0};
  }
};

struct BoxCost {
  float loss;
  Box slopes;  // along the corners of the predicted box
};

// A loss of boxes, by their corners.
struct BoxLossRule {
  // iou is 1 - IoU, with its logarithm and square in its place -ln IoU ("UnitBox", Yu et al., ACM MM 2016,
  // eq. 1) and 1 - IoU^2. giou, diou, ciou, eiou: 1 - theirs (papers in core/box.h, core/eiou.h); whole_ciou
  // as ciou_slopes has it. nwd: 1 - NWD, and of the same distance W, its authors' W and ln(1 + W^2).
  enum class Kind {
    iou,
    iou_log,
    iou_square,
    giou,
    diou,
    ciou,
    whole_ciou,
    eiou,
    nwd,
    nwd_sqrt,
    nwd_log
  } kind = Kind::giou;
  float constant = 12.8f;  // C of NWD, in pixels
  float nwd_eps = 1e-7f;   // of W^2
  float iou_eps = 1e-6f;   // the least IoU whose logarithm is taken
  float focal = 0;         // of eiou: the loss times IoU^focal, 0.5 in Focal-EIoU of the same paper. The
                           // factor is a weight without slopes: with them, boxes that overlap little would
                           // be pushed away, to lose less

  HOST_DEVICE BoxCost cost(Box p, Box t) const {
    using overlap_slopes::times;
    switch (kind) {
      case Kind::iou:
        return {1 - iou(p, t), times(-1, iou_slopes(p, t))};
      case Kind::iou_log: {
        const float i = iou(p, t);
        if (i < iou_eps) return {-logf(iou_eps), {0, 0, 0, 0}};
        return {-logf(i), times(-1 / i, iou_slopes(p, t))};
      }
      case Kind::iou_square: {
        const float i = iou(p, t);
        return {1 - i * i, times(-2 * i, iou_slopes(p, t))};
      }
      case Kind::giou:
        return {1 - giou(p, t), times(-1, giou_slopes(p, t))};
      case Kind::diou:
        return {1 - diou(p, t), times(-1, diou_slopes(p, t))};
      case Kind::ciou:
      case Kind::whole_ciou:
        return {1 - ciou(p, t), times(-1, ciou_slopes(p, t, kind == Kind::whole_ciou))};
      case Kind::eiou: {
        const float factor = focal > 0 ? powf(iou(p, t), focal) : 1;
        return {factor * (1 - eiou(p, t)), times(-factor, eiou_slopes(p, t))};
      }
      case Kind::nwd:
        return {1 - nwd(p, t, constant, nwd_eps), times(-1, nwd_slopes(p, t, constant, nwd_eps))};
      case Kind::nwd_sqrt: {
        const float distance = sqrtf(squared_wasserstein(p, t) + nwd_eps);
        const float half = distance > 0 ? 0.5f / distance : 0;
        return {distance, times(half, slopes_of_squared_wasserstein(p, t))};
      }
      case Kind::nwd_log: {
        const float squared = squared_wasserstein(p, t) + nwd_eps;
        return {log1pf(squared), times(1 / (1 + squared), slopes_of_squared_wasserstein(p, t))};
      }
    }
    return {0, {0, 0, 0, 0}};
  }
};

}  // namespace osprey
