// [detection]: YOLO v1, a grid of cells that each tell one class and some boxes, from a vector of numbers
// that a [connected] layer makes. The numbers are what they mean: no activation, save a softmax over the
// classes of a cell with softmax=1. "You Only Look Once", Redmon et al., CVPR 2016. The loss is in
// detection_loss.cpp.
#include <algorithm>

#include "core/activations.h"
#include "core/parallel.h"
#include "cuda/detection.h"
#include "layers/heads/head.h"
#include "layers/heads/onnx_boxes.h"

namespace osprey {
namespace cpu {
namespace {

void softmax(float* values, int count) {
  const float largest = *std::max_element(values, values + count);
  float sum = 0;
  for (int i = 0; i < count; ++i) sum += values[i] = exponential(values[i] - largest);
  for (int i = 0; i < count; ++i) values[i] /= sum;
}

}  // namespace

void detection_forward(Stream&, const DetectionGrid& grid, bool softmax_classes, View<const float> x,
                       View<float> y) {
  parallel_for(y.shape.n, 1, [&](int64_t first, int64_t last) {
    for (int n = int(first); n < int(last); ++n) {
      float* numbers = &y[n * grid.numbers()];
      for (int i = 0; i < grid.numbers(); ++i) numbers[i] = x[DetectionGrid::in_input(x.shape, n, i)];
      for (int cell = 0; cell < grid.cells() && softmax_classes; ++cell)
        softmax(numbers + grid.classes_at(cell), grid.classes);
    }
  });
}

void detection_backward(Stream&, View<const float> delta, View<float> dx, bool overwrite) {
  const int numbers = delta.shape.c;
  parallel_for(delta.size(), 1 << 14, [&](int64_t first, int64_t last) {
    for (int i = int(first); i < int(last); ++i) {
      float& to = dx[DetectionGrid::in_input(dx.shape, i / numbers, i % numbers)];
      to = (overwrite ? 0 : to) - delta[i];
    }
  });
}

}  // namespace cpu

namespace {

class DetectionHead final : public Head, public OnnxHead {
 public:
  void keys(Keys& k) override {
    k.integer("side", grid_.side, 7).between(1, 1000).help("the image is cut into side x side cells");
    k.integer("num", grid_.boxes, 1).between(1, 1000).help("boxes of a cell");
    k.integer("classes", grid_.classes, 1).between(1, 100000).help("how many classes there are");
    k.integer("coords", coords_, 4).between(4, 4).help("numbers of a box: 4");
    k.flag("softmax", softmax_, false).help("1: the classes of a cell are a softmax; 0: as they come");
    k.flag("sqrt", grid_.squared, false).help("1: width and height come as their square roots");
    loss_keys(k);
    nms_keys(k, nms_);
    crop_keys(k, augmentation_);
    k.ignored("reorg", "Darknet does not use it either");
  }

  void plan(Plan& p) override {
    const Shape in = p.input();
    const int numbers = in.h * in.w * in.c;
    const int64_t wanted = int64_t(grid_.cells()) * (grid_.classes + 5 * grid_.boxes);
    p.require(numbers == wanted,
              fmt::format("needs {} numbers ({} x {} cells x ({} classes + {} boxes x 5)); the layer before "
                          "has {}: set its output={}",
                          wanted, grid_.side, grid_.side, grid_.classes, grid_.boxes, numbers, wanted));
    p.require(!loss_.forced || grid_.boxes > 1, "forced", "forced=1 chooses between two boxes: num is 1");
    p.require(!loss_.random || grid_.boxes > 1, "random", "random=1 has no choice: num is 1");
    p.output({in.n, 1, 1, numbers}, Type::f32);
    p.obeys_writes();
    p.keep(delta_, {in.n, 1, 1, numbers});
    training_ = p.training();
    if (!training_) return;
    p.truths(truths_, augmentation_.max_boxes);
    p.step(step_);
    p.loss(report_);
    plan_loss_work(p, work_, grid_.cells(), 1);
  }

  void forward(Stream& s) override {
    on(s, cpu::detection_forward, cuda::detection_forward)(s, grid_, softmax_, x(), y);
    if (training_)
      on(s, cpu::detection_loss, cuda::detection_loss)(s, grid_, loss_, y, truths_, step_, delta_, work_,
                                                       report_);
  }
  void backward(Stream& s) override {
    if (!dx()) return;
    on(s, cpu::detection_backward, cuda::detection_backward)(s, delta_, dx(), writes() == Write::overwrite);
  }

  bool has_loss() const override { return true; }

  int classes() const override { return grid_.classes; }
  NmsSettings nms() const override { return nms_; }
  View<const float> delta() const override { return delta_; }
  Augmentation augmentation() const override { return augmentation_; }
  Listed most_listed() const override { return {grid_.boxes_of_image(), grid_.boxes_of_image(), false}; }

  void decode(View<const float> output, int image, Thresholds thresholds, Candidates& out) const override {
    const float* numbers = &output[image * grid_.numbers()];
    out.classes = grid_.classes;
    for (int box = 0; box < grid_.boxes_of_image(); ++box) {
      const float confidence = numbers[grid_.confidence_at(box)];
      const float* classes = numbers + grid_.classes_at(box / grid_.boxes);
      const auto above = [&](float p) { return confidence * p > thresholds.score; };
      if (std::none_of(classes, classes + grid_.classes, above)) continue;
      out.boxes.push_back(grid_.box(numbers, box));
      out.objectness.push_back(confidence);
      for (int c = 0; c < grid_.classes; ++c)
        out.probabilities.push_back(above(classes[c]) ? confidence * classes[c] : 0);
    }
  }

  OnnxHead::Detections detections_to_onnx(OnnxGraph& g) const override {
    const int64_t cells = grid_.cells(), boxes = grid_.boxes, all = cells * boxes, classes = grid_.classes;
    const std::string numbers = g.reshaped(g.x(), {0, -1});
    std::string of_cells = g.reshaped(g.slice(numbers, 1, 0, grid_.confidence_at(0)), {0, cells, 1, classes});
    if (softmax_) of_cells = g.softmax(of_cells, 3);
    const std::string sure =
        g.reshaped(g.slice(numbers, 1, grid_.confidence_at(0), grid_.box_at(0)), {0, cells, boxes, 1});
    const std::string scores = g.reshaped(g.add("Mul", {sure, of_cells}), {0, all, classes});

    const std::string rows = g.reshaped(g.slice(numbers, 1, grid_.box_at(0), grid_.numbers()), {0, all, 4});
    const std::string centre =
        onnx_centres(g, g.slice(rows, 2, 0, 2), {1, grid_.side, grid_.side, grid_.boxes});
    std::string size = g.slice(rows, 2, 2, 4);
    if (grid_.squared) size = g.add("Mul", {size, size});
    return {g.concatenated({centre, size}, 2), scores, all};
  }

  void list(Stream& s, Thresholds thresholds, const DetectionLists& lists) const override {
    cuda::detection_candidates(s, grid_, y, thresholds.score, lists);
  }

 private:
  void loss_keys(Keys& k) {
    k.flag("rescore", loss_.rescore, false).help("1: confidence learns the overlap of its box instead of 1");
    k.flag("forced", loss_.forced, false)
        .help(
            "1: the second box of a cell learns objects of less than a tenth of the image, the first all "
            "others; 0: the box that overlaps most does");
    k.flag("random", loss_.random, false)
        .help("1: in the first 64000 images a random box of the cell learns its object");
    k.real("coord_scale", loss_.coord_scale, 1).at_least(0).help("factor of the slopes of boxes");
    k.real("object_scale", loss_.object_scale, 1)
        .at_least(0)
        .help("factor of the slopes of confidence, at truths");
    k.real("noobject_scale", loss_.noobject_scale, 1).at_least(0).help("the same elsewhere");
    k.real("class_scale", loss_.class_scale, 1).at_least(0).help("factor of the slopes of classes");
  }

  int coords_ = 4;
  bool softmax_ = false;
  NmsSettings nms_;
  DetectionGrid grid_;
  DetectionLoss loss_;
  Augmentation augmentation_;
  Truths truths_;
  const Step* step_ = nullptr;
  View<float> delta_;  // like y
  bool training_ = false;
  LossWork work_;
  LossReport* report_ = nullptr;
};

}  // namespace

extern const LayerType detection = {"detection", nullptr, "YOLO v1: cells with one class and some boxes",
                                    make<DetectionHead>};

}  // namespace osprey
