#include "cuda/optimizer.h"

#include "cuda/block.cuh"
#include "cuda/launch.h"
#include "cuda/pack.cuh"

namespace osprey::cuda {
namespace {

constexpr int kFoursOfLine = kLineFloats / 4;

// One of the flat buffers; four of its numbers move as one.
template <class T>
__device__ View<T> all(const ParameterLines& p, T* buffer) {
  return {buffer, {1, 1, p.lines, kLineFloats}};
}
__device__ inline Floats<4> four(const ParameterLines& p, float* buffer, int i) {
  return load<4>(all(p, buffer), 4 * i);
}
__device__ inline void put_four(const ParameterLines& p, float* buffer, int i, const Floats<4>& values) {
  store(all(p, buffer), 4 * i, values);
}

__global__ void clear_faults_kernel(Faults* faults) { *faults = Faults(); }

// One thread per loss report. The smallest index wins whatever the order, so that atomics are safe here.
__global__ void check_losses_kernel(const LossReport* losses, int count, Faults* faults) {
  const int i = global_thread();
  if (i >= count) return;
  if (!is_finite(losses[i].loss)) atomicMin(&faults->loss, i);
}

// One thread for four statistics.
__global__ void weigh_statistics_kernel(ParameterLines p) {
  const int i = global_thread();
  if (i >= p.lines * kFoursOfLine) return;
  const SpanRule& span = p.spans[p.span_of_line[i / kFoursOfLine]];
  if (span.trained) return;
  const Floats<4> before = four(p, p.momentum, i), now = four(p, p.values, i);
  Floats<4> g;
  for (int k = 0; k < 4; ++k) g[k] = span.change * (now[k] - before[k]);
  put_four(p, p.gradients, i, g);
}

__global__ void merge_statistics_kernel(ParameterLines p) {
  const int i = global_thread();
  if (i >= p.lines * kFoursOfLine) return;
  const SpanRule& span = p.spans[p.span_of_line[i / kFoursOfLine]];
  if (span.trained) return;
  const Floats<4> before = four(p, p.momentum, i), sum = four(p, p.gradients, i);
  Floats<4> now;
  for (int k = 0; k < 4; ++k) now[k] = before[k] + sum[k];
  put_four(p, p.values, i, now);
  put_four(p, p.momentum, i, now);
  put_four(p, p.gradients, i, Floats<4>{});
}

// One thread for four gradients.
__global__ void check_gradients_kernel(ParameterLines p, Faults* faults) {
  const int i = global_thread();
  if (i >= p.lines * kFoursOfLine) return;
  const int span = p.span_of_line[i / kFoursOfLine];
  if (!p.spans[span].trained) return;
  const Floats<4> g = four(p, p.gradients, i);
  const float sum = g[0] * 0.0f + g[1] * 0.0f + g[2] * 0.0f + g[3] * 0.0f;  // 0, or NaN
  if (!is_finite(sum)) atomicMin(&faults->span, span);
}

// One block per part, whose threads stride through its gradients.
__global__ void square_parts_kernel(ParameterLines p, double* parts) {
  const int first = int(blockIdx.x) * kLinesPerPart, last = min(p.lines, first + kLinesPerPart);
  double own = 0;
  for (int i = first * kFoursOfLine + int(threadIdx.x); i < last * kFoursOfLine; i += int(blockDim.x)) {
    const SpanRule& span = p.spans[p.span_of_line[i / kFoursOfLine]];
    if (!span.trained || span.rate == 0) continue;
    const Floats<4> g = four(p, p.gradients, i);
    for (int k = 0; k < 4; ++k) own += double(g[k]) * g[k];
  }
  own = block_sum(own);
  if (threadIdx.x == 0) parts[blockIdx.x] = own;
}

// One block adds up the parts.
__global__ void clip_factor_kernel(const double* parts, int count, ClipRule rule, float* factor) {
  double own = 0;
  for (int i = int(threadIdx.x); i < count; i += int(blockDim.x)) own += parts[i];
  own = block_sum(own);
  if (threadIdx.x == 0) *factor = rule.factor(own);
}

__device__ inline float clip_of(const ParameterLines& p) { return p.clip ? *p.clip : 1.0f; }

// Writes the values and all that follows from them, and clears the gradients.
__device__ inline void finish(const ParameterLines& p, const WeightAveraging& averaging, int64_t iteration,
                              int i, Floats<4> w) {
  if (p.average && averaging.acts(iteration)) {
    Floats<4> a = four(p, p.average, i);
    for (int k = 0; k < 4; ++k) follow(averaging, iteration, w[k], a[k]);
    put_four(p, p.average, i, a);
  }
  put_four(p, p.values, i, w);
  put_four(p, p.gradients, i, Floats<4>{});
  if (p.copy) store(all(p, p.copy), 4 * i, w);
}

// What all rules share, by one thread for four parameters: change(i, rate, decay, g, w) makes their new
// values w of their gradients g, and keeps what it needs for the next step.
template <class Change>
__device__ void step_four(const ParameterLines& p, const WeightAveraging& averaging, const Step* step,
                          const Faults* faults, Change change) {
  const int i = global_thread();
  if (i >= p.lines * kFoursOfLine || faults->any()) return;
  const SpanRule span = p.spans[p.span_of_line[i / kFoursOfLine]];
  if (!span.trained) return;
  const float clip = clip_of(p);
  Floats<4> g = four(p, p.gradients, i), w = four(p, p.values, i);
  for (int k = 0; k < 4; ++k) g[k] *= clip;
  if (span.rate != 0) change(i, step->learning_rate * span.rate, span.decay, g, w);
  finish(p, averaging, step->iteration, i, w);
}

__global__ void sgd_step_kernel(ParameterLines p, Sgd rule, WeightAveraging averaging, const Step* step,
                                const Faults* faults) {
  step_four(p, averaging, step, faults,
            [&](int i, float rate, float decay, const Floats<4>& g, Floats<4>& w) {
              Floats<4> v = four(p, p.momentum, i);
              for (int k = 0; k < 4; ++k) update(rule, rate, decay, g[k], w[k], v[k]);
              put_four(p, p.momentum, i, v);
            });
}

__global__ void adam_step_kernel(ParameterLines p, Adam rule, WeightAveraging averaging, const Step* step,
                                 const Faults* faults) {
  step_four(p, averaging, step, faults,
            [&](int i, float rate, float decay, const Floats<4>& g, Floats<4>& w) {
              const float correction1 = bias_correction(rule.beta1, step->iteration);
              const float correction2 = bias_correction(rule.beta2, step->iteration);
              Floats<4> m = four(p, p.momentum, i), s = four(p, p.squares, i);
              for (int k = 0; k < 4; ++k)
                update(rule, correction1, correction2, rate, decay, g[k], w[k], m[k], s[k]);
              put_four(p, p.momentum, i, m);
              put_four(p, p.squares, i, s);
            });
}

__global__ void rmsprop_step_kernel(ParameterLines p, RmsProp rule, WeightAveraging averaging,
                                    const Step* step, const Faults* faults) {
  step_four(p, averaging, step, faults,
            [&](int i, float rate, float decay, const Floats<4>& g, Floats<4>& w) {
              Floats<4> v = four(p, p.momentum, i), s = four(p, p.squares, i);
              for (int k = 0; k < 4; ++k) update(rule, rate, decay, g[k], w[k], v[k], s[k]);
              put_four(p, p.momentum, i, v);
              put_four(p, p.squares, i, s);
            });
}

}  // namespace

void clear_faults(Stream& s, Faults* faults) { launch<clear_faults_kernel>(s, Grid{1, 1}, faults); }

void check_losses(Stream& s, const LossReport* losses, int count, Faults* faults) {
  launch<check_losses_kernel>(s, one_thread_each(count), losses, count, faults);
}

void weigh_statistics(Stream& s, const ParameterLines& p) {
  launch<weigh_statistics_kernel>(s, one_thread_each(p.lines * kFoursOfLine), p);
}

void merge_statistics(Stream& s, const ParameterLines& p) {
  launch<merge_statistics_kernel>(s, one_thread_each(p.lines * kFoursOfLine), p);
}

void check_gradients(Stream& s, const ParameterLines& p, Faults* faults) {
  launch<check_gradients_kernel>(s, one_thread_each(p.lines * kFoursOfLine), p, faults);
}

void clip_gradients(Stream& s, const ParameterLines& p, ClipRule rule, double* parts, float* factor) {
  const int count = clip_parts(p.lines);
  launch<square_parts_kernel>(s, Grid{dim3(unsigned(count)), dim3(256)}, p, parts);
  launch<clip_factor_kernel>(s, Grid{dim3(1), dim3(256)}, parts, count, rule, factor);
}

void sgd_step(Stream& s, const ParameterLines& p, Sgd rule, WeightAveraging averaging, const Step* step,
              const Faults* faults) {
  launch<sgd_step_kernel>(s, one_thread_each(p.lines * kFoursOfLine), p, rule, averaging, step, faults);
}

void adam_step(Stream& s, const ParameterLines& p, Adam rule, WeightAveraging averaging, const Step* step,
               const Faults* faults) {
  launch<adam_step_kernel>(s, one_thread_each(p.lines * kFoursOfLine), p, rule, averaging, step, faults);
}

void rmsprop_step(Stream& s, const ParameterLines& p, RmsProp rule, WeightAveraging averaging,
                  const Step* step, const Faults* faults) {
  launch<rmsprop_step_kernel>(s, one_thread_each(p.lines * kFoursOfLine), p, rule, averaging, step, faults);
}

}  // namespace osprey::cuda
