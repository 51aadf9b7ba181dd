// [softmax]: y_i = e^(x_i / T) / sum e^(x / T) over each group of values; in training also the cross entropy
// against the network's targets, unless noloss=1.
//
// A group is one of `groups` equal parts of the channels over the whole image, or with spatial=1 all channels
// of one pixel, at T = 1; with a tree of classes, the children of one class. The loss is -target ln y, and
// the gradient of x is y - target (Darknet; it tells a loss of -ln y wherever the target is not 0, which is
// the same for targets of 0 and 1); a gradient from layers above is passed on as it is. Without the loss,
// backward is softmax's own:
//   dx_i = y_i / T (dy_i - sum y dy)

#include "cuda/softmax.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/parallel.h"
#include "layers/class_file.h"
#include "layers/layer.h"
#include "layers/onnx_graph.h"

namespace osprey {

namespace cpu {
namespace {

// body(number of a group), for every group of a tensor.
template <class Body>
void for_each_group(Shape s, SoftmaxGroups g, Body&& body) {
  const int64_t values = int64_t(g.pixels) * std::max(s.c / g.groups, 1);  // of a group, about
  parallel_for(g.count(s), 1 + 8192 / values, [=](int64_t first, int64_t last) {
    for (int k = int(first); k < int(last); ++k) body(k);
  });
}

// visit(i) for every value of a group.
template <class Visit>
void for_each_value(Shape s, SoftmaxGroups g, int group, Visit&& visit) {
  const int channels = g.channels(s, group), start = g.first(s, group);
  for (int pixel = 0; pixel < g.pixels; ++pixel)
    for (int c = 0; c < channels; ++c) visit(start + pixel * s.c + c);
}

}  // namespace

void softmax_forward(Stream&, View<const float> x, View<float> y, SoftmaxGroups g) {
  const Shape s = x.shape;
  for_each_group(s, g, [=](int group) {
    float largest = -std::numeric_limits<float>::infinity();
    for_each_value(s, g, group, [&](int i) { largest = std::max(largest, x[i]); });
    double sum = 0;
    for_each_value(s, g, group, [&](int i) {
      y[i] = std::exp((x[i] - largest) / g.temperature);
      sum += y[i];
    });
    const float scale = float(1 / sum);
    for_each_value(s, g, group, [&](int i) { y[i] *= scale; });
  });
}

void softmax_backward(Stream&, View<const float> y, View<const float> dy, View<float> dx, SoftmaxGroups g) {
  const Shape s = y.shape;
  const bool in_place = dx.data == dy.data;
  for_each_group(s, g, [=](int group) {
    double mean = 0;
    for_each_value(s, g, group, [&](int i) { mean += double(y[i]) * dy[i]; });
    for_each_value(s, g, group, [&](int i) {
      dx[i] = (in_place ? 0 : dx[i]) + y[i] * (dy[i] - float(mean)) / g.temperature;
    });
  });
}

void tree_targets(Stream&, const ClassTree& tree, View<float> targets) {
  const int classes = targets.shape.c;
  for (int n = 0; n < targets.shape.n; ++n) {
    float* of = &targets[n * classes];
    for (int c = classes - 1; c >= 0; --c)  // a parent comes before its children
      if (of[c] > 0 && tree.parents[c] >= 0) of[tree.parents[c]] = 1;
    for (int g = 0; g + 1 < tree.groups.size(); ++g) {
      float *first = of + tree.groups[g], *last = of + tree.groups[g + 1];
      if (std::none_of(first, last, [](float target) { return target > 0; }))
        std::fill(first, last, kMaskedTarget);
    }
  }
}

void softmax_cross_entropy(Stream&, View<const float> y, View<const float> targets, LossReport* report) {
  double loss = 0;
  for (int i = 0; i < y.size(); ++i)
    if (targets[i] != 0 && targets[i] != kMaskedTarget)
      loss -= targets[i] * std::log(std::max(y[i], std::numeric_limits<float>::min()));
  report->loss += loss;
  report->class_loss += loss;
}

void softmax_loss_backward(Stream&, View<const float> y, View<const float> targets, View<const float> dy,
                           View<float> dx) {
  const bool in_place = dx.data == dy.data;
  for (int i = 0; i < y.size(); ++i)
    dx[i] += (targets[i] == kMaskedTarget ? 0 : y[i] - targets[i]) + (dy && !in_place ? dy[i] : 0);
}

}  // namespace cpu

class Softmax final : public Layer, public OnnxLayer {
 public:
  void keys(Keys& k) override {
    k.integer("groups", parts_, 1).at_least(1).help("equal parts of the channels, each with its own sum");
    k.real("temperature", groups_.temperature, 1).more_than(0).help("divides the input: above 1 it levels");
    k.flag("spatial", spatial_, false).help("over the channels of each pixel");
    k.flag("noloss", noloss_, false).help("no cross entropy against the network's targets");
    k.text("tree", tree_path_, "")
        .help(
            "a file that makes classes a tree, lines `name parent`: each group of siblings has its own sum");
  }

  void plan(Plan& p) override {
    const Shape in = p.input();
    if (!tree_path_.empty()) plan_tree(p);
    p.require(in.c % parts_ == 0, "groups",
              fmt::format("the {} channels of the input cannot be cut into {} equal groups", in.c, parts_));
    p.require(!spatial_ || (parts_ == 1 && groups_.temperature == 1), "spatial",
              "spatial=1 goes with groups=1 and temperature=1");
    groups_.groups = tree_path_.empty() ? parts_ : int(tables_.groups.size()) - 1;
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
    if (targets_ && groups_.bounds) on(s, cpu::tree_targets, cuda::tree_targets)(s, tree_, targets_);
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

  std::string to_onnx(OnnxGraph& g) const override {
    g.require(tree_path_.empty(), "tree", "the classes are a tree");
    const Shape in = x().shape;
    if (spatial_) return g.softmax(g.x(), 1);
    const std::string divided = g.scaled(g.x(), 1 / groups_.temperature);
    if (parts_ == 1 && in.h * in.w == 1) return g.softmax(divided, 1);
    return g.reshaped(g.softmax(g.reshaped(divided, {0, parts_, -1}), 2), {0, in.c, in.h, in.w});
  }

 private:
  void plan_tree(Plan& p) {
    const Shape in = p.input();
    if (tables_.parents.empty()) tables_ = read_class_tree(class_file(p, "tree", tree_path_));
    p.require(in.h * in.w == 1 && in.c == tables_.classes(), "tree",
              fmt::format("{} has {} classes, but the input is {}: it must be 1x1x1x{}", tree_path_,
                          tables_.classes(), in.text(), tables_.classes()));
    p.require(parts_ == 1 && !spatial_, "tree", "the groups are those of the tree: groups=1, spatial=0");
    p.constant(tree_.parents, tables_.parents);
    p.constant(tree_.groups, tables_.groups);
    p.constant(groups_.bounds, tables_.groups);
  }

  int parts_ = 1;
  SoftmaxGroups groups_;
  bool spatial_ = false, noloss_ = false;
  std::string tree_path_;
  ClassTreeTables tables_;
  ClassTree tree_;
  View<float> targets_;
  LossReport* report_ = nullptr;
};

extern const LayerType softmax = {"softmax", "soft", "values that sum to 1, and their cross entropy",
                                  make<Softmax>};

}  // namespace osprey
