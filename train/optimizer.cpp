#include "train/optimizer.h"

#include <algorithm>
#include <array>

#include "core/log.h"
#include "core/parallel.h"

namespace osprey {
namespace {

constexpr int64_t kGrain = 1 << 11;      // lines
constexpr int64_t kAfterAverage = 1000;  // iterations that AlexeyAB's Darknet trains on from the average

// What follows from new values of a line, and the gradients' return to zero.
void finish(const ParameterLines& p, const WeightAveraging& averaging, int64_t iteration, size_t at) {
  float* __restrict w = p.values + at;
  if (p.average && averaging.acts(iteration)) {
    float* __restrict a = p.average + at;
    for (int i = 0; i < kLineFloats; ++i) follow(averaging, iteration, w[i], a[i]);
  }
  std::fill_n(p.gradients + at, kLineFloats, 0.0f);
  if (p.copy) std::copy_n(w, kLineFloats, p.copy + at);
}

using Line = std::array<float, kLineFloats>;

// What all rules share: change(first value, rate, decay, g, w) makes the new values w of a line that is
// trained of its gradients g, on all threads.
template <class Change>
void step_lines(const ParameterLines& p, const WeightAveraging& averaging, const Step* step,
                const Faults* faults, Change change) {
  if (faults->any()) return;
  const float clip = p.clip ? *p.clip : 1.0f;
  parallel_for(p.lines, kGrain, [&](int64_t first, int64_t last) {
    for (int64_t line = first; line < last; ++line) {
      const SpanRule& span = p.spans[p.span_of_line[line]];
      if (!span.trained) continue;
      const size_t at = size_t(line) * kLineFloats;
      Line g;
      for (int i = 0; i < kLineFloats; ++i) g[size_t(i)] = clip * p.gradients[at + size_t(i)];
      if (span.rate != 0) change(at, step->learning_rate * span.rate, span.decay, g, p.values + at);
      finish(p, averaging, step->iteration, at);
    }
  });
}

}  // namespace

namespace cpu {

void clear_faults(Stream&, Faults* faults) { *faults = {}; }

void check_losses(Stream&, const LossReport* losses, int count, Faults* faults) {
  for (int i = 0; i < count; ++i)
    if (!is_finite(losses[i].loss)) faults->loss = std::min(faults->loss, i);
}

namespace {

// change(at) for the first value of each line of statistics.
template <class Change>
void for_statistics(const ParameterLines& p, Change change) {
  parallel_for(p.lines, kGrain, [&](int64_t first, int64_t last) {
    for (int64_t line = first; line < last; ++line)
      if (!p.spans[p.span_of_line[line]].trained)
        change(p.spans[p.span_of_line[line]], size_t(line) * kLineFloats);
  });
}

}  // namespace

void weigh_statistics(Stream&, const ParameterLines& p) {
  for_statistics(p, [&](const SpanRule& span, size_t at) {
    for (size_t i = at; i < at + kLineFloats; ++i)
      p.gradients[i] = span.change * (p.values[i] - p.momentum[i]);
  });
}

void merge_statistics(Stream&, const ParameterLines& p) {
  for_statistics(p, [&](const SpanRule&, size_t at) {
    for (size_t i = at; i < at + kLineFloats; ++i) {
      p.values[i] = p.momentum[i] += p.gradients[i];
      p.gradients[i] = 0;
    }
  });
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

void clip_gradients(Stream&, const ParameterLines& p, ClipRule rule, double* parts, float* factor) {
  const int count = clip_parts(p.lines);
  parallel_for(count, 1, [&](int64_t first_part, int64_t last_part) {
    for (int part = int(first_part); part < int(last_part); ++part) {
      parts[part] = 0;
      const int last = std::min(p.lines, (part + 1) * kLinesPerPart);
      for (int line = part * kLinesPerPart; line < last; ++line) {
        const SpanRule& span = p.spans[p.span_of_line[line]];
        if (!span.trained || span.rate == 0) continue;
        const float* g = p.gradients + size_t(line) * kLineFloats;
        for (int i = 0; i < kLineFloats; ++i) parts[part] += double(g[i]) * g[i];
      }
    }
  });
  double squares = 0;
  for (int part = 0; part < count; ++part) squares += parts[part];
  *factor = rule.factor(squares);
}

void sgd_step(Stream&, const ParameterLines& p, Sgd rule, WeightAveraging averaging, const Step* step,
              const Faults* faults) {
  step_lines(p, averaging, step, faults,
             [&](size_t at, float rate, float decay, const Line& g, float* __restrict w) {
               float* __restrict v = p.momentum + at;
               for (int i = 0; i < kLineFloats; ++i) update(rule, rate, decay, g[size_t(i)], w[i], v[i]);
             });
}

void adam_step(Stream&, const ParameterLines& p, Adam rule, WeightAveraging averaging, const Step* step,
               const Faults* faults) {
  const float correction1 = bias_correction(rule.beta1, step->iteration);
  const float correction2 = bias_correction(rule.beta2, step->iteration);
  step_lines(p, averaging, step, faults,
             [&](size_t at, float rate, float decay, const Line& g, float* __restrict w) {
               float* __restrict m = p.momentum + at;
               float* __restrict s = p.squares + at;
               for (int i = 0; i < kLineFloats; ++i)
                 update(rule, correction1, correction2, rate, decay, g[size_t(i)], w[i], m[i], s[i]);
             });
}

void rmsprop_step(Stream&, const ParameterLines& p, RmsProp rule, WeightAveraging averaging, const Step* step,
                  const Faults* faults) {
  step_lines(p, averaging, step, faults,
             [&](size_t at, float rate, float decay, const Line& g, float* __restrict w) {
               float* __restrict v = p.momentum + at;
               float* __restrict s = p.squares + at;
               for (int i = 0; i < kLineFloats; ++i)
                 update(rule, rate, decay, g[size_t(i)], w[i], v[i], s[i]);
             });
}

}  // namespace cpu

std::vector<SpanRule> span_rules(const std::vector<ParameterSpan>& spans, const NetSection& net,
                                 int later_mini_batches) {
  std::vector<SpanRule> rules;
  for (const ParameterSpan& span : spans) {
    SpanRule rule;
    const bool decays = span.info.role == Role::weights || net.optimizer == Rule::adam;
    rule.rate = net.optimizer == Rule::sgd ? span.rate / float(net.batch) : span.rate;
    rule.decay = decays ? net.decay : 0.0f;
    if (net.optimizer != Rule::adamw) rule.decay *= float(net.batch);  // in a gradient that is a sum
    rule.trained = span.info.role != Role::statistic;
    rule.change = std::pow(1 - span.info.momentum, float(later_mini_batches));
    rules.push_back(rule);
  }
  return rules;
}

Sgd sgd_rule(const NetSection& net) { return {net.momentum, net.nesterov}; }

Adam adam_rule(const NetSection& net) {
  const bool decoupled = net.optimizer == Rule::adamw;
  return {net.beta1, net.beta2, decoupled ? net.epsilon * float(net.batch) : net.epsilon, decoupled};
}

RmsProp rmsprop_rule(const NetSection& net) {
  return {net.momentum, net.alpha, net.epsilon * float(net.batch)};
}

namespace {

WeightAveraging averaging_of(const NetSection& net) {
  return {net.ema_alpha, net.max_batches / 2, net.max_batches - kAfterAverage};
}

}  // namespace

bool keeps_average(const NetSection& net) {
  const WeightAveraging averaging = averaging_of(net);
  return averaging.alpha > 0 && averaging.first < averaging.last;
}

size_t optimizer_bytes(const NetSection& net, const Parameters& parameters) {
  return (size_t(keeps_squares(net.optimizer)) + size_t(keeps_average(net))) * parameters.size() *
         sizeof(float);
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

namespace {

template <class T>
const T* put(DeviceBuffer& buffer, const Stream& stream, const std::vector<T>& values) {
  buffer.allocate(stream, values.size() * sizeof(T));
  std::copy(values.begin(), values.end(), reinterpret_cast<T*>(buffer.host()));
  buffer.upload();
  return reinterpret_cast<const T*>(buffer.device());
}

float* floats(const DeviceBuffer& buffer) { return reinterpret_cast<float*>(buffer.device()); }

}  // namespace

Optimizer::Optimizer(const NetSection& net, Parameters& parameters, const Stream& stream,
                     int later_mini_batches)
    : parameters_(parameters),
      later_mini_batches_(later_mini_batches),
      stream_(stream),
      rule_(net.optimizer),
      sgd_rule_(sgd_rule(net)),
      adam_rule_(adam_rule(net)),
      rmsprop_rule_(rmsprop_rule(net)),
      clip_rule_{net.clip_norm, net.batch},
      averaging_(averaging_of(net)) {
  const size_t bytes = parameters.size() * sizeof(float);
  if (keeps_squares(net.optimizer)) squares_.allocate(stream, bytes);
  if (keeps_average(net))
    average_.allocate(stream, bytes);
  else if (net.ema_alpha > 0)
    warn(
        "ema_alpha has no effect: the average is kept from max_batches / 2 to max_batches - {}, and "
        "max_batches is {}",
        kAfterAverage, net.max_batches);
  put(faults_, stream, std::vector<Faults>(1));
  lines_.lines = int(parameters.size() / kLineFloats);
  lines_.values = parameters.device_values();
  lines_.gradients = parameters.device_gradients();
  lines_.momentum = parameters.device_momentum();
  lines_.squares = floats(squares_);
  lines_.average = floats(average_);
  lines_.copy = static_cast<bf16*>(parameters.device_copy().data);
  lines_.span_of_line = put(span_of_line_, stream, spans_of_lines(parameters.spans(), parameters.size()));
  take_rates(net);
  if (clip_rule_.most > 0) {
    clip_.allocate(stream, sizeof(double) * size_t(1 + clip_parts(lines_.lines)));
    lines_.clip = floats(clip_);
  }
}

void Optimizer::take_rates(const NetSection& net) {
  lines_.spans = put(spans_, stream_, span_rules(parameters_.spans(), net, later_mini_batches_));
}

void Optimizer::clear_faults() {
  on(stream_, cpu::clear_faults, cuda::clear_faults)(stream_, reinterpret_cast<Faults*>(faults_.device()));
}

void Optimizer::check_losses(const LossReport* losses, int count) {
  on(stream_, cpu::check_losses, cuda::check_losses)(stream_, losses, count,
                                                     reinterpret_cast<Faults*>(faults_.device()));
}

void Optimizer::check_gradients() {
  on(stream_, cpu::check_gradients, cuda::check_gradients)(stream_, lines_,
                                                           reinterpret_cast<Faults*>(faults_.device()));
}

void Optimizer::begin_sharing() {
  parameters_.download();
  for (const ParameterSpan& span : parameters_.spans())
    if (span.info.role == Role::statistic) {
      const View<float> value = parameters_.value(span);
      std::copy(value.begin(), value.end(), parameters_.momentum() + span.offset);
    }
  parameters_.upload();
}

void Optimizer::weigh_statistics() {
  on(stream_, cpu::weigh_statistics, cuda::weigh_statistics)(stream_, lines_);
}

void Optimizer::merge_statistics() {
  on(stream_, cpu::merge_statistics, cuda::merge_statistics)(stream_, lines_);
}

void Optimizer::update(const Step* step) {
  const Faults* faults = reinterpret_cast<const Faults*>(faults_.device());
  check_gradients();
  if (clip_rule_.most > 0)
    on(stream_, cpu::clip_gradients, cuda::clip_gradients)(
        stream_, lines_, clip_rule_, reinterpret_cast<double*>(clip_.device()) + 1, floats(clip_));
  if (rule_ == Rule::sgd)
    on(stream_, cpu::sgd_step, cuda::sgd_step)(stream_, lines_, sgd_rule_, averaging_, step, faults);
  else if (rule_ == Rule::rmsprop)
    on(stream_, cpu::rmsprop_step, cuda::rmsprop_step)(stream_, lines_, rmsprop_rule_, averaging_, step,
                                                       faults);
  else
    on(stream_, cpu::adam_step, cuda::adam_step)(stream_, lines_, adam_rule_, averaging_, step, faults);
}

Faults Optimizer::faults() const {
  faults_.download();
  return *reinterpret_cast<const Faults*>(faults_.host());
}

void Optimizer::begin_average(int64_t iteration) { averaging_.first = std::max(averaging_.first, iteration); }

void Optimizer::exchange_average() {
  parameters_.download();
  average_.download();
  float* average = reinterpret_cast<float*>(average_.host());
  for (const ParameterSpan& span : parameters_.spans())
    if (span.info.role != Role::statistic) {
      const View<float> value = parameters_.value(span);
      std::swap_ranges(value.begin(), value.end(), average + span.offset);
    }
  average_.upload();
  parameters_.upload();
}

std::vector<std::pair<std::string, float*>> Optimizer::state() const {
  std::vector<std::pair<std::string, float*>> state;
  for (const auto& [name, buffer] : {std::pair{"squares", &squares_}, std::pair{"average", &average_}})
    if (buffer->bytes()) state.emplace_back(name, reinterpret_cast<float*>(buffer->host()));
  return state;
}

void Optimizer::download() const {
  squares_.download();
  average_.download();
}

void Optimizer::upload() {
  squares_.upload();
  average_.upload();
}

}  // namespace osprey
