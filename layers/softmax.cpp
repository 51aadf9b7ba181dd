// [softmax]: y_i = e^(x_i / T) / sum e^(x / T) over each group of values; in training also the cross entropy
// against the network's targets, unless noloss=1.
//
// A group is one of `groups` equal parts of the channels over the whole image, or with spatial=1 all channels
// of one pixel, at T = 1. Where the target is not 0 the loss counts -ln y, and the gradient of x is y -
// target (Darknet); a gradient from layers above is passed on as it is. Without the loss, backward is
// softmax's own:
//   dx_i = y_i / T (dy_i - sum y dy)

#include "cuda/softmax.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/parallel.h"
#include "layers/layer.h"

namespace osprey {

namespace cpu {
namespace {

// body(first value of a group), for every group of a tensor.
template <class Body>
void for_each_group(Shape s, SoftmaxGroups g, Body&& body) {
  parallel_for(g.count(s), 1 + 8192 / (int64_t(g.pixels) * g.channels(s)), [=](int64_t first, int64_t last) {
    for (int k = int(first); k < int(last); ++k) body(g.first(s, k));
  });
}

// visit(i) for every value of the group that starts at `start`.
template <class Visit>
void for_each_value(Shape s, SoftmaxGroups g, int start, Visit&& visit) {
  const int channels = g.channels(s);
  for (int pixel = 0; pixel < g.pixels; ++pixel)
    for (int c = 0; c < channels; ++c) visit(start + pixel * s.c + c);
}

}  // namespace

void softmax_forward(Stream&, View<const float> x, View<float> y, SoftmaxGroups g) {
  const Shape s = x.shape;
  for_each_group(s, g, [=](int start) {
    float largest = -std::numeric_limits<float>::infinity();
    for_each_value(s, g, start, [&](int i) { largest = std::max(largest, x[i]); });
    double sum = 0;
    for_each_value(s, g, start, [&](int i) {
      y[i] = std::exp((x[i] - largest) / g.temperature);
      sum += y[i];
    });
    const float scale = float(1 / sum);
    for_each_value(s, g, start, [&](int i) { y[i] *= scale; });
  });
}

void softmax_backward(Stream&, View<const float> y, View<const float> dy, View<float> dx, SoftmaxGroups g) {
  const Shape s = y.shape;
  const bool in_place = dx.data == dy.data;
  for_each_group(s, g, [=](int start) {
    double mean = 0;
    for_each_value(s, g, start, [&](int i) { mean += double(y[i]) * dy[i]; });
    for_each_value(s, g, start, [&](int i) {
      dx[i] = (in_place ? 0 : dx[i]) + y[i] * (dy[i] - float(mean)) / g.temperature;
    });
  });
}

void softmax_cross_entropy(Stream&, View<const float> y, View<const float> targets, LossReport* report) {
  double loss = 0;
  for (int i = 0; i < y.size(); ++i)
    if (targets[i] != 0) loss -= std::log(std::max(y[i], std::numeric_limits<float>::min()));
  report->loss += loss;
  report->class_loss += loss;
}

void softmax_loss_backward(Stream&, View<const float> y, View<const float> targets, View<const float> dy,
                           View<float> dx) {
  const bool in_place = dx.data == dy.data;
  for (int i = 0; i < y.size(); ++i) dx[i] += y[i] - targets[i] + (dy && !in_place ? dy[i] : 0);
}

}  // namespace cpu

class Softmax final : public Layer {
 public:
  void keys(Keys& k) override {
    k.integer("groups", groups_.groups, 1)
        .at_least(1)
        .help("equal parts of the channels, each with its own sum");
    k.real("temperature", groups_.temperature, 1).more_than(0).help("divides the input: above 1 it levels");
    k.flag("spatial", spatial_, false).help("over the channels of each pixel");
    k.flag("noloss", noloss_, false).help("no cross entropy against the network's targets");
    k.text("tree", tree_, "").help("file with the tree of classes: not supported yet");
  }

  void plan(Plan& p) override {
    const Shape in = p.input();
    p.require(tree_.empty(), "tree", "a softmax over a tree of classes is not supported yet");
    p.require(
        in.c % groups_.groups == 0, "groups",
        fmt::format("the {} channels of the input cannot be cut into {} equal groups", in.c, groups_.groups));
    p.require(!spatial_ || (groups_.groups == 1 && groups_.temperature == 1), "spatial",
              "spatial=1 goes with groups=1 and temperature=1");
    groups_.pixels = spatial_ ? 1 : in.h * in.w;
    p.output(in);
    p.in_place();
    p.backward_reads_output();
    if (!p.training() || noloss_) return;
    p.targets(targets_, in);
    p.loss(report_);
  }

  void forward(Stream& s) override {
    on(s, cpu::softmax_forward, cuda::softmax_forward)(s, x(), y, groups_);
    if (targets_) on(s, cpu::softmax_cross_entropy, cuda::softmax_cross_entropy)(s, y, targets_, report_);
  }
  void backward(Stream& s) override {
    if (!dx()) return;
    if (targets_)
      on(s, cpu::softmax_loss_backward, cuda::softmax_loss_backward)(s, y, targets_, dy, dx());
    else
      on(s, cpu::softmax_backward, cuda::softmax_backward)(s, y, dy, dx(), groups_);
  }

  bool has_loss() const override { return !noloss_; }

 private:
  SoftmaxGroups groups_;
  bool spatial_ = false, noloss_ = false;
  std::string tree_;
  View<float> targets_;
  LossReport* report_ = nullptr;
};

extern const LayerType softmax = {"softmax", "soft", "values that sum to 1, and their cross entropy",
                                  make<Softmax>};

}  // namespace osprey
