// The optimizer of a network: what [net] asks for, on the network's device.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "cuda/optimizer.h"
#include "models/device_buffer.h"
#include "models/net_section.h"
#include "models/parameters.h"

namespace osprey {

// The rule of each span. Gradients are averaged over the batch, and decay acts on weights only, not on biases
// and batch-norm scales; under Adam, which no scale of the gradients moves, Darknet does neither.
// `later_mini_batches`: how many of a batch other processes take that come after those of this one.
std::vector<SpanRule> span_rules(const std::vector<ParameterSpan>& spans, const NetSection& net,
                                 int later_mini_batches = 0);

// AdamW and RMSprop take the sum of the gradients over a batch with an epsilon that is as many times larger,
// which gives what the mean gives with epsilon itself.
Sgd sgd_rule(const NetSection& net);
Adam adam_rule(const NetSection& net);
RmsProp rmsprop_rule(const NetSection& net);

bool keeps_average(const NetSection& net);  // if there is time for one
// What a training needs beyond the parameters' gradients and momentum.
size_t optimizer_bytes(const NetSection& net, const Parameters& parameters);

// For each line of buffers of `size` floats the index of the span that it belongs to.
std::vector<int> spans_of_lines(const std::vector<ParameterSpan>& spans, size_t size);

class Optimizer {
 public:
  // `parameters` must have been allocated for training on the stream's device, and outlive the optimizer.
  Optimizer(const NetSection& net, Parameters& parameters, const Stream& stream, int later_mini_batches = 0);

  // To be called when the rates of the parameters' spans have changed, between two iterations.
  void take_rates(const NetSection& net);

  // The parts of an iteration (cuda/optimizer.h has their order and meaning). They are work of the device,
  // to which the pointers belong, and may be captured.
  void clear_faults();
  void check_losses(const LossReport* losses, int count);
  void check_gradients();
  void weigh_statistics();
  void merge_statistics();
  // Checks and clips the gradients; then changes the parameters, if there is no fault.
  void update(const Step* step);
  // Before the first iteration of several processes that share batches: statistics change from here on.
  void begin_sharing();

  Rule rule() const { return rule_; }
  Faults faults() const;  // waits for the device

  // The average begins no sooner than here: for a training that begins in its middle without one.
  void begin_average(int64_t iteration);
  bool has_average(int64_t iteration) const { return average_.bytes() && iteration >= averaging_.first; }
  // The parameters become their average, and the average the parameters: to save it, or to measure with it.
  void exchange_average();

  // What a checkpoint must keep besides the momentum: "squares", "average". Buffers like those of the
  // parameters, on the host's side: download() before reading, upload() after writing.
  std::vector<std::pair<std::string, float*>> state() const;
  void download() const;
  void upload();

 private:
  Parameters& parameters_;
  int later_mini_batches_;
  Stream stream_;
  Rule rule_;
  Sgd sgd_rule_;
  Adam adam_rule_;
  RmsProp rmsprop_rule_;
  ClipRule clip_rule_;
  WeightAveraging averaging_;
  DeviceBuffer squares_{"the mean squared gradients"}, average_{"the average of the parameters"},
      span_of_line_{"the optimizer's table of lines"}, spans_{"the optimizer's table of spans"},
      faults_{"the optimizer's faults"}, clip_{"what bounds the gradients"};  // the factor, then the parts
  ParameterLines lines_;
};

}  // namespace osprey
