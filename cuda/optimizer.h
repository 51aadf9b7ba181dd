// The contract of the optimizers: every parameter of a network changes in one pass over the flat buffers. The
// CPU side is in train/optimizer.cpp, the kernels in cuda/optimizer.cu, the formulas, which both share, here.
//
// What changes from step to step is read from memory of the device (Step, Faults), so that a captured step
// can run again and again. An iteration of training calls, in this order:
//   clear_faults      once
//   check_losses      after each mini-batch's forward pass
//   weigh_statistics, merge_statistics  where several processes share the batch, around the sum of gradients
//   check_gradients   after the last backward pass
//   clip_gradients    where their norm is bounded
//   sgd_step, adam_step or rmsprop_step; where Faults names something, they leave everything as it was
#pragma once

#include <climits>
#include <cmath>

#include "core/bf16.h"
#include "core/step.h"
#include "core/stream.h"

namespace osprey {

constexpr int kLineFloats = 16;  // a line is 64 bytes; every span of parameters begins with a new one

// How the parameters of a span change.
struct SpanRule {
  // Factor of the learning rate, averaging over a batch included; 0 freezes, momentum included.
  float rate = 1;
  float decay = 0;      // this times the value is added to the gradient
  bool trained = true;  // false: no step touches it (statistics, which batch norm keeps itself)
  // Of a statistic, where P processes share a batch: what the change counts that one of them has made. With
  // momentum a each mini-batch m of S in turn makes r + a (b_m - r) of a statistic r. Where the process j,
  // from 0, takes k = S / P of them, from r to r_j, one alone would come to
  //   r + sum_j (1 - a)^((P - 1 - j) k) (r_j - r)
  float change = 1;
};

// The flat buffers of a network, equally long, in memory of one device. Numbers between the end of a span and
// the next line are zero and stay zero.
struct ParameterLines {
  int lines = 0;
  float* values = nullptr;
  float* gradients = nullptr;
  // Of SGD and RMSprop; Adam's mean of gradients. Of a statistic, where processes share batches, its value
  // before.
  float* momentum = nullptr;
  float* squares = nullptr;           // Adam's and RMSprop's mean of squared gradients; SGD needs none
  float* average = nullptr;           // of the values over time; null if it is not asked for
  bf16* copy = nullptr;               // of the values under precision=bf16; null under f32
  const int* span_of_line = nullptr;  // [lines]: into `spans`
  const SpanRule* spans = nullptr;
  const float* clip = nullptr;  // clip_gradients' factor of the gradients; null: 1
};

// What was not a finite number in the course of an iteration.
struct Faults {
  static constexpr int kNone = INT_MAX;
  int loss = kNone;  // the first loss report, by its index
  int span = kNone;  // the first span with such a gradient
  HOST_DEVICE bool any() const { return loss != kNone || span != kNone; }
};

// Bounds the norm of the gradients of all parameters that are trained, taken together, as PyTorch's
// clip_grad_norm_ does: those of the mean over a batch, before decay.
struct ClipRule {
  float most = 0;
  int batch = 1;
  HOST_DEVICE float factor(double squares) const {
    const double bounded = double(most) / (sqrt(squares) / batch + 1e-6);
    return bounded < 1 ? float(bounded) : 1.0f;
  }
};
constexpr int kLinesPerPart = 1024;  // of the sum of squares, in a fixed order
inline int clip_parts(int lines) { return (lines + kLinesPerPart - 1) / kLinesPerPart; }

HOST_DEVICE inline bool is_finite(float v) { return v * 0.0f == 0.0f; }  // infinity * 0 is NaN, too
HOST_DEVICE inline bool is_finite(double v) { return v * 0.0 == 0.0; }

// Darknet's rule, for the sum g of the gradients of a whole batch:
//   v <- momentum v + g + decay w        w <- w - rate v
// The rate is outside of v, as in PyTorch: a change of the rate acts at once on all of the momentum.
// Nesterov's form, as PyTorch has it, looks one step of the momentum ahead:
//   w <- w - rate (g + decay w + momentum v)
struct Sgd {
  float momentum = 0.9f;
  bool nesterov = false;
};

// Kingma and Ba, "Adam", ICLR 2015, with decay in the gradient (L2) and epsilon outside of the root:
//   g <- g + decay w        m <- b1 m + (1 - b1) g        s <- b2 s + (1 - b2) g^2
//   w <- w - rate (m / (1 - b1^t)) / (sqrt(s / (1 - b2^t)) + epsilon)
// t is the iteration. As in Darknet the gradient is the sum over a batch, and decay acts on every parameter.
// AdamW (Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019) keeps decay out of the
// gradient, and so out of its scale; before the step:
//   w <- w - rate decay w
struct Adam {
  float beta1 = 0.9f, beta2 = 0.999f;
  float epsilon = 1e-6f;   // more than 0
  bool decoupled = false;  // AdamW
};

// Tieleman and Hinton's RMSprop (2012) in PyTorch's form, with momentum behind the scaling and epsilon
// outside of the root:
//   g <- g + decay w        s <- alpha s + (1 - alpha) g^2
//   v <- momentum v + g / (sqrt(s) + epsilon)        w <- w - rate v
struct RmsProp {
  float momentum = 0.9f, alpha = 0.99f;
  float epsilon = 1e-6f;  // more than 0
};

// AlexeyAB's moving average of the parameters: it begins as a copy of them at iteration `first`, follows them
// by a <- alpha a + (1 - alpha) w, and at iteration `last` takes their place. Without time between there is
// none.
struct WeightAveraging {
  float alpha = 0;
  int64_t first = 0, last = 0;
  HOST_DEVICE bool acts(int64_t iteration) const {
    return first < last && iteration >= first && iteration <= last;
  }
};

HOST_DEVICE ALWAYS_INLINE void update(const Sgd& rule, float rate, float decay, float g, float& w, float& v) {
  v = rule.momentum * v + g + decay * w;
  w -= rate * (rule.nesterov ? rule.momentum * v + g + decay * w : v);
}

// 1 - beta^t. For beta near 1 the plain form would keep only half of its digits.
HOST_DEVICE inline float bias_correction(float beta, int64_t t) {
  return beta > 0 ? -expm1f(float(t) * logf(beta)) : 1.0f;
}

// `correction1`, `correction2`: bias_correction() of beta1 and beta2.
HOST_DEVICE ALWAYS_INLINE void update(const Adam& rule, float correction1, float correction2, float rate,
                                      float decay, float g, float& w, float& m, float& s) {
  if (rule.decoupled) w -= rate * decay * w;
  const float total = rule.decoupled ? g : g + decay * w;
  m = rule.beta1 * m + (1 - rule.beta1) * total;
  s = rule.beta2 * s + (1 - rule.beta2) * total * total;
  w -= rate * (m / correction1) / (sqrtf(s / correction2) + rule.epsilon);
}

HOST_DEVICE ALWAYS_INLINE void update(const RmsProp& rule, float rate, float decay, float g, float& w,
                                      float& v, float& s) {
  const float total = g + decay * w;
  s = rule.alpha * s + (1 - rule.alpha) * total * total;
  v = rule.momentum * v + total / (sqrtf(s) + rule.epsilon);
  w -= rate * v;
}

// For an iteration in which it acts.
HOST_DEVICE ALWAYS_INLINE void follow(const WeightAveraging& rule, int64_t iteration, float& w, float& a) {
  if (iteration == rule.last)
    w = a;
  else
    a = iteration == rule.first ? w : rule.alpha * a + (1 - rule.alpha) * w;
}

namespace cpu {
void clear_faults(Stream&, Faults* faults);
void check_losses(Stream&, const LossReport* losses, int count, Faults* faults);
// The change of each statistic takes its place among the gradients, and is added up with them. After that the
// statistics are those of all processes.
void weigh_statistics(Stream&, const ParameterLines& p);
void merge_statistics(Stream&, const ParameterLines& p);
void check_gradients(Stream&, const ParameterLines& p, Faults* faults);
// Writes *factor. parts: memory for clip_parts(p.lines) numbers.
void clip_gradients(Stream&, const ParameterLines& p, ClipRule rule, double* parts, float* factor);
// Each also sets the gradients to zero for the next batch.
void sgd_step(Stream&, const ParameterLines& p, Sgd rule, WeightAveraging averaging, const Step* step,
              const Faults* faults);
void adam_step(Stream&, const ParameterLines& p, Adam rule, WeightAveraging averaging, const Step* step,
               const Faults* faults);
void rmsprop_step(Stream&, const ParameterLines& p, RmsProp rule, WeightAveraging averaging, const Step* step,
                  const Faults* faults);
}  // namespace cpu

namespace cuda {
void clear_faults(Stream&, Faults* faults);
void check_losses(Stream&, const LossReport* losses, int count, Faults* faults);
void weigh_statistics(Stream&, const ParameterLines& p);
void merge_statistics(Stream&, const ParameterLines& p);
void check_gradients(Stream&, const ParameterLines& p, Faults* faults);
void clip_gradients(Stream&, const ParameterLines& p, ClipRule rule, double* parts, float* factor);
void sgd_step(Stream&, const ParameterLines& p, Sgd rule, WeightAveraging averaging, const Step* step,
              const Faults* faults);
void adam_step(Stream&, const ParameterLines& p, Adam rule, WeightAveraging averaging, const Step* step,
               const Faults* faults);
void rmsprop_step(Stream&, const ParameterLines& p, RmsProp rule, WeightAveraging averaging, const Step* step,
                  const Faults* faults);
}  // namespace cuda

}  // namespace osprey
