#include "cuda/optimizer.h"

#include "cuda/launch.h"

namespace osprey::cuda {
namespace {

// Four numbers, which memory moves as one.
struct alignas(16) Four {
  float v[4];
};
constexpr int kFoursOfLine = kLineFloats / 4;

__device__ inline Four& four(float* buffer, int i) { return reinterpret_cast<Four*>(buffer)[i]; }

__global__ void clear_faults_kernel(Faults* faults) { *faults = Faults(); }

// One thread per loss report. The smallest index wins whatever the order, so that atomics are safe here.
__global__ void check_losses_kernel(const LossReport* losses, int count, Faults* faults) {
  const int i = global_thread();
  if (i >= count) return;
  if (!is_finite(losses[i].loss)) atomicMin(&faults->loss, i);
}

// One thread for four gradients.
__global__ void check_gradients_kernel(ParameterLines p, Faults* faults) {
  const int i = global_thread();
  if (i >= p.lines * kFoursOfLine) return;
  const int span = p.span_of_line[i / kFoursOfLine];
  if (!p.spans[span].trained) return;
  const Four g = four(p.gradients, i);
  const float sum = g.v[0] * 0.0f + g.v[1] * 0.0f + g.v[2] * 0.0f + g.v[3] * 0.0f;  // 0, or NaN
  if (!is_finite(sum)) atomicMin(&faults->span, span);
}

// Writes the values and all that follows from them, and clears the gradients.
__device__ inline void finish(const ParameterLines& p, const Averaging& averaging, int64_t iteration, int i,
                              Four w) {
  if (p.average && averaging.acts(iteration)) {
    Four a = four(p.average, i);
    for (int k = 0; k < 4; ++k) follow(averaging, iteration, w.v[k], a.v[k]);
    four(p.average, i) = a;
  }
  four(p.values, i) = w;
  four(p.gradients, i) = Four{};
  if (!p.copy) return;
  struct alignas(8) Halves {
    bf16 v[4];
  } rounded;
  for (int k = 0; k < 4; ++k) rounded.v[k] = w.v[k];
  reinterpret_cast<Halves*>(p.copy)[i] = rounded;
}

// One thread for four parameters.
__global__ void sgd_step_kernel(ParameterLines p, Sgd rule, Averaging averaging, const Step* step,
                                const Faults* faults) {
  const int i = global_thread();
  if (i >= p.lines * kFoursOfLine || faults->any()) return;
  const SpanRule span = p.spans[p.span_of_line[i / kFoursOfLine]];
  if (!span.trained) return;
  const float rate = step->learning_rate * span.rate;
  const Four g = four(p.gradients, i);
  Four w = four(p.values, i), v = four(p.momentum, i);
  for (int k = 0; k < 4; ++k) update(rule, rate, span.decay, g.v[k], w.v[k], v.v[k]);
  four(p.momentum, i) = v;
  finish(p, averaging, step->iteration, i, w);
}

// One thread for four parameters.
__global__ void adam_step_kernel(ParameterLines p, Adam rule, Averaging averaging, const Step* step,
                                 const Faults* faults) {
  const int i = global_thread();
  if (i >= p.lines * kFoursOfLine || faults->any()) return;
  const SpanRule span = p.spans[p.span_of_line[i / kFoursOfLine]];
  if (!span.trained) return;
  const float rate = step->learning_rate * span.rate;
  const float correction1 = bias_correction(rule.beta1, step->iteration);
  const float correction2 = bias_correction(rule.beta2, step->iteration);
  const Four g = four(p.gradients, i);
  Four w = four(p.values, i), m = four(p.momentum, i), s = four(p.squares, i);
  for (int k = 0; k < 4; ++k)
    update(rule, correction1, correction2, rate, span.decay, g.v[k], w.v[k], m.v[k], s.v[k]);
  four(p.momentum, i) = m;
  four(p.squares, i) = s;
  finish(p, averaging, step->iteration, i, w);
}

}  // namespace

void clear_faults(Stream& s, Faults* faults) { launch<clear_faults_kernel>(s, Grid{1, 1}, faults); }

void check_losses(Stream& s, const LossReport* losses, int count, Faults* faults) {
  launch<check_losses_kernel>(s, one_thread_each(count), losses, count, faults);
}

void check_gradients(Stream& s, const ParameterLines& p, Faults* faults) {
  launch<check_gradients_kernel>(s, one_thread_each(p.lines * kFoursOfLine), p, faults);
}

void sgd_step(Stream& s, const ParameterLines& p, Sgd rule, Averaging averaging, const Step* step,
              const Faults* faults) {
  launch<sgd_step_kernel>(s, one_thread_each(p.lines * kFoursOfLine), p, rule, averaging, step, faults);
}

void adam_step(Stream& s, const ParameterLines& p, Adam rule, Averaging averaging, const Step* step,
               const Faults* faults) {
  launch<adam_step_kernel>(s, one_thread_each(p.lines * kFoursOfLine), p, rule, averaging, step, faults);
}

}  // namespace osprey::cuda
