#include "train/optimizer.h"

#include <algorithm>

#include "core/parallel.h"

namespace osprey {
namespace {

constexpr int64_t kGrain = 1 << 11;  // lines

// body(first value, rule) for each line that is trained, on all threads.
template <class Body>
void for_trained_lines(const ParameterLines& p, Body&& body) {
  parallel_for(p.lines, kGrain, [&](int64_t first, int64_t last) {
    for (int64_t line = first; line < last; ++line)
      if (const SpanRule& span = p.spans[p.span_of_line[line]]; span.trained)
        body(size_t(line) * kLineFloats, span);
  });
}

// What follows from new values of a line, and the gradients' return to zero.
void finish(const ParameterLines& p, const Averaging& averaging, int64_t iteration, size_t at) {
  float* __restrict w = p.values + at;
  if (p.average && averaging.acts(iteration)) {
    float* __restrict a = p.average + at;
    for (int i = 0; i < kLineFloats; ++i) follow(averaging, iteration, w[i], a[i]);
  }
  std::fill_n(p.gradients + at, kLineFloats, 0.0f);
  if (p.copy) std::copy_n(w, kLineFloats, p.copy + at);
}

}  // namespace

namespace cpu {

void clear_faults(Stream&, Faults* faults) { *faults = {}; }

void check_losses(Stream&, const LossReport* losses, int count, Faults* faults) {
  for (int i = 0; i < count; ++i)
    if (!is_finite(losses[i].loss)) faults->loss = std::min(faults->loss, i);
}

void check_gradients(Stream&, const ParameterLines& p, Faults* faults) {
  for (int line = 0; line < p.lines; ++line) {
    const int span = p.span_of_line[line];
    const float* g = p.gradients + size_t(line) * kLineFloats;
    float sum = 0;  // of g * 0: NaN where a gradient is not finite
    for (int i = 0; i < kLineFloats; ++i) sum += g[i] * 0.0f;
    if (!is_finite(sum) && p.spans[span].trained) {
      faults->span = std::min(faults->span, span);
      return;  // spans lie in their order
    }
  }
}

void sgd_step(Stream&, const ParameterLines& p, Sgd rule, Averaging averaging, const Step* step,
              const Faults* faults) {
  if (faults->any()) return;
  for_trained_lines(p, [&](size_t at, const SpanRule& span) {
    float* __restrict w = p.values + at;
    float* __restrict v = p.momentum + at;
    const float* __restrict g = p.gradients + at;
    const float rate = step->learning_rate * span.rate, decay = span.decay;
    for (int i = 0; i < kLineFloats; ++i) update(rule, rate, decay, g[i], w[i], v[i]);
    finish(p, averaging, step->iteration, at);
  });
}

void adam_step(Stream&, const ParameterLines& p, Adam rule, Averaging averaging, const Step* step,
               const Faults* faults) {
  if (faults->any()) return;
  const float correction1 = bias_correction(rule.beta1, step->iteration);
  const float correction2 = bias_correction(rule.beta2, step->iteration);
  for_trained_lines(p, [&](size_t at, const SpanRule& span) {
    float* __restrict w = p.values + at;
    float* __restrict m = p.momentum + at;
    float* __restrict s = p.squares + at;
    const float* __restrict g = p.gradients + at;
    const float rate = step->learning_rate * span.rate, decay = span.decay;
    for (int i = 0; i < kLineFloats; ++i)
      update(rule, correction1, correction2, rate, decay, g[i], w[i], m[i], s[i]);
    finish(p, averaging, step->iteration, at);
  });
}

}  // namespace cpu

std::vector<SpanRule> span_rules(const std::vector<ParameterSpan>& spans, const NetSection& net) {
  std::vector<SpanRule> rules;
  for (const ParameterSpan& span : spans) {
    SpanRule rule;
    const bool decays = span.info.role == Role::weights || net.adam;
    rule.rate = net.adam ? span.rate : span.rate / float(net.batch);
    rule.decay = decays ? net.decay * float(net.batch) : 0.0f;
    rule.trained = span.info.role != Role::statistic;
    rules.push_back(rule);
  }
  return rules;
}

std::vector<int> spans_of_lines(const std::vector<ParameterSpan>& spans, size_t size) {
  std::vector<int> lines(size / kLineFloats);
  for (size_t i = 0; i < spans.size(); ++i) {
    const size_t end = i + 1 < spans.size() ? spans[i + 1].offset : size;
    std::fill(lines.begin() + ptrdiff_t(spans[i].offset / kLineFloats),
              lines.begin() + ptrdiff_t(end / kLineFloats), int(i));
  }
  return lines;
}

}  // namespace osprey
