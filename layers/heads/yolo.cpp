// [yolo] and [Gaussian_yolo]: boxes from anchors, at each location of a grid, with an independent probability
// for each class.
//
//   x, y       = logistic of the input, stretched about 0.5 by scale_x_y: the centre within its cell
//   w, h       = the input: the box is anchor * e^w by anchor * e^h
//   objectness, classes = logistic of the input
//
// With new_coords the convolution before has done the logistic, of w and h too: the box is anchor * (2w)^2.
// In [Gaussian_yolo] each of x, y, w and h is followed by its standard deviation, a logistic, and boxes count
// the less the larger theirs are (Choi et al., "Gaussian YOLOv3", ICCV 2019). "YOLOv3: An Incremental
// Improvement", Redmon and Farhadi, 2018; "YOLOv4", Bochkovskiy et al., 2020. The loss is in yolo_loss.cpp.
#include <algorithm>
#include <cfloat>
#include <numeric>

#include "core/activations.h"
#include "core/parallel.h"
#include "cuda/yolo.h"
#include "layers/heads/head.h"
#include "layers/heads/onnx_boxes.h"
#include "layers/losses/feedback_keys.h"
#include "layers/vector_loop.h"

namespace osprey {
namespace cpu {

void yolo_forward(Stream&, const YoloGrid& grid, View<const float> x, View<float> y) {
  const float shift = -0.5f * (grid.scale_x_y - 1);
  const int row_length = grid.row_length(), at_x = grid.entry(kX), at_y = grid.entry(kY);
  const int at_w = grid.entry(kW), at_h = grid.entry(kH);
  parallel_for(y.size() / row_length, 256, [&](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r) {
      const float* from = x.data + r * row_length;
      float* to = y.data + r * row_length;
      if (grid.new_coords) {
        std::copy_n(from, row_length, to);
      } else {  // all of the row, so that the loop vectorises
        const float w = from[at_w], h = from[at_h];
        VECTOR_LOOP
        for (int e = 0; e < row_length; ++e) to[e] = logistic(from[e]);
        to[at_w] = w;
        to[at_h] = h;
      }
      to[at_x] = to[at_x] * grid.scale_x_y + shift;
      to[at_y] = to[at_y] * grid.scale_x_y + shift;
    }
  });
}

}  // namespace cpu

namespace {

// Darknet's kinds, in the order of NmsKind. The last, of [Gaussian_yolo] only, is another word for the first.
constexpr const char* kDarknetNmsNames[] = {"default", "greedynms", "diounms"};
constexpr const char* kGaussianNmsNames[] = {"default", "greedynms", "diounms", "cornersnms"};
constexpr const char* kGaussianBoxLossNames[] = {"mse", "iou", "giou", "diou", "ciou", "eiou"};
// Of Similarity. Its third, of the centres alone, cannot tell the shapes of anchors apart.
constexpr const char* kSimilarityNames[] = {"iou", "nwd"};

class Yolo : public Head, public OnnxHead {
 public:
  void keys(Keys& k) override {
    k.integer("classes", grid_.classes, 20).between(1, 65536).help("how many classes there are");
    k.integer("num", num_, 1)
        .between(1, 4096)
        .help("how many pairs of anchors are listed, for all heads together");
    k.integers("mask", mask_).at_least(0).shown_as("all").help("which of the anchors this head uses");
    k.reals("anchors", listed_anchors_)
        .more_than(0)
        .shown_as("0.5 each")
        .help("widths and heights of typical boxes, in pixels of the network input");
    if (!grid_.gaussian)
      k.flag("new_coords", grid_.new_coords, false)
          .help("1: boxes are anchor * (2w)^2, and the convolution before has activation=logistic");
    k.real("scale_x_y", grid_.scale_x_y, 1)
        .more_than(0)
        .help("lets a centre reach the edge of its cell and beyond");
    if (grid_.gaussian)
      k.choice("yolo_point", grid_.point, YoloPoint::center, kYoloPointNames)
          .help("the point of a box that x and y tell, and whose cell learns it");
    matching_keys(k);
    loss_keys(k);
    constexpr const char* kNmsHelp = "how duplicates are found, in Darknet's words; nms= has more kinds";
    if (grid_.gaussian) {
      enum class Kind { standard, greedy, diou_power, corners } kind = Kind::standard;
      k.choice("nms_kind", kind, Kind::standard, kGaussianNmsNames).help(kNmsHelp);
      nms_.kind = kind == Kind::corners ? NmsKind::standard : NmsKind(kind);
    } else {
      k.choice("nms_kind", nms_.kind, NmsKind::standard, kDarknetNmsNames).help(kNmsHelp);
    }
    nms_keys(k, nms_);
    augmentation_keys(k, augmentation_);
    k.text("map", map_, "")
        .help("a file with a number for each class of the labels: the class of this head that learns it");
    ignored_keys(k);
  }

  void plan(Plan& p) override {
    const Shape in = p.input(), network = p.options().network_input;
    anchors_ = read_anchors(p, listed_anchors_, num_);
    choose_anchors(p);
    const int channels = int(mask_.size()) * grid_.row_length();
    p.require(
        in.c == channels,
        fmt::format("needs {0} channels ({1} masks x ({4} + {2} classes)); the layer before has {3}: set its "
                    "filters={0}",
                    channels, mask_.size(), grid_.classes, in.c, grid_.entry(kClasses)));
    p.require(counters_.empty() || int(counters_.size()) == grid_.classes, "counters_per_class",
              fmt::format("counters_per_class must list {} numbers, one for each class, not {}",
                          grid_.classes, counters_.size()));
    plan_class_map(p, map_, grid_.classes, class_map_);
    grid_.rows = in.h;
    grid_.columns = in.w;
    grid_.network_width = float(network.w);
    grid_.network_height = float(network.h);
    p.constant(grid_.anchors, anchors_);
    p.constant(grid_.mask, mask_);
    p.constant(grid_.class_map, class_map_);
    p.constant(loss_.class_multipliers, class_multipliers());
    p.output(in, Type::f32);
    p.in_place();
    p.obeys_writes();
    p.keep(delta_, in);
    training_ = p.training();
    if (!training_) return;
    p.truths(truths_, augmentation_.max_boxes);
    p.loss(report_);
    plan_feedback(p, loss_.feedback);
    if (loss_.feedback.on && !p.on_gpu()) p.scratch(loss_.feedback_of_images, {in.n, 1, 1, 1});
    plan_loss_work(p, work_, augmentation_.max_boxes, int(mask_.size()));
  }

  void forward(Stream& s) override {
    on(s, cpu::yolo_forward, cuda::yolo_forward)(s, grid_, x(), y);
    if (training_)
      on(s, cpu::yolo_loss, cuda::yolo_loss)(s, grid_, loss_, y, truths_, delta_, work_, report_);
  }
  void backward(Stream& s) override {
    if (dx()) on(s, cpu::head_backward, cuda::head_backward)(s, delta_, dx(), writes() == Write::overwrite);
  }

  bool has_loss() const override { return true; }

  int classes() const override { return grid_.classes; }
  int label_classes() const override { return class_map_.empty() ? grid_.classes : int(class_map_.size()); }
  std::vector<Anchor> anchor_shapes() const override {
    std::vector<Anchor> shapes;
    for (const int index : mask_) shapes.push_back(anchors_[size_t(index)]);
    return shapes;
  }
  NmsSettings nms() const override { return nms_; }
  View<const float> delta() const override { return delta_; }
  Augmentation augmentation() const override { return augmentation_; }
  Listed most_listed() const override { return {grid_.rows_of_image(), grid_.rows_of_image(), false}; }

  void decode(View<const float> output, int image, Thresholds thresholds, Candidates& out) const override {
    YoloGrid grid = grid_;  // its tables are in the memory of the device
    grid.anchors = {anchors_.data(), {1, 1, 1, num_}};
    grid.mask = {mask_.data(), {1, 1, 1, int(mask_.size())}};
    out.classes = grid.classes;
    for (int r = 0; r < grid.rows_of_image(); ++r) {
      const float* row = &output[(image * grid.rows_of_image() + r) * grid.row_length()];
      if (!(row[grid.entry(kObjectness)] > thresholds.score)) continue;
      const float objectness = grid.certain_objectness(row);
      out.boxes.push_back(grid.box(row, grid.place(r)));
      out.objectness.push_back(objectness);
      for (int c = 0; c < grid.classes; ++c) {
        const float probability = objectness * row[grid.entry(kClasses) + c];
        out.probabilities.push_back(probability > thresholds.score ? probability : 0);
      }
    }
  }

  OnnxHead::Detections detections_to_onnx(OnnxGraph& g) const override {
    const OnnxRows rows(g, x().shape, int(mask_.size()), grid_.row_length());
    const int each = grid_.gaussian ? 2 : 1;  // to the next number of a box
    const int at_w = grid_.entry(kW), objectness = grid_.entry(kObjectness);
    const auto activated = [&](const std::string& part) {
      return grid_.new_coords ? part : g.add("Sigmoid", {part});
    };
    const float shift = -0.5f * (grid_.scale_x_y - 1);
    const std::string within =
        g.shifted(g.scaled(activated(rows.part(0, at_w, each)), grid_.scale_x_y), shift);
    const std::string sizes = rows.part(at_w, objectness, each);
    const std::vector<Anchor> anchors = anchor_shapes();
    const float width = grid_.network_width, height = grid_.network_height;
    const std::string size =
        grid_.new_coords
            ? g.add("Mul", {g.scaled(g.add("Mul", {sizes, sizes}), 4), rows.anchors(anchors, width, height)})
            : g.add("Mul", {g.add("Exp", {sizes}), rows.anchors(anchors, width, height)});
    std::string centre = rows.in_image(within);
    if (grid_.point != YoloPoint::center)
      centre = g.add("Add", {centre, g.scaled(size, grid_.point == YoloPoint::left_top ? 0.5f : -0.5f)});

    std::string sure = activated(rows.part(objectness, objectness + 1));
    if (grid_.gaussian) {
      const std::string deviations = activated(rows.part(1, objectness, 2));
      const std::string mean = g.add("ReduceMean", {deviations}, {{"axes", OnnxGraph::Sides{2}}});
      sure = g.add("Mul", {sure, g.shifted(g.scaled(mean, -1), 1)});
    }
    const std::string classes = activated(rows.part(grid_.entry(kClasses), grid_.row_length()));
    return {g.concatenated({centre, size}, 2), g.add("Mul", {sure, classes}), rows.count()};
  }

  void list(Stream& s, Thresholds thresholds, const DetectionLists& lists) const override {
    cuda::yolo_candidates(s, grid_, y, thresholds.score, lists);
  }

 protected:
  YoloGrid grid_;

 private:
  void matching_keys(Keys& k) {
    k.real("ignore_thresh", loss_.ignore_thresh, 0.5f)
        .between(0, 1)
        .help("boxes that overlap a truth by more than this are not told that they are background");
    k.real("truth_thresh", loss_.truth_thresh, 1)
        .between(0, 1)
        .help("boxes that overlap a truth by more than this learn it, whatever their anchor");
    k.real("iou_thresh", loss_.iou_thresh, 1)
        .between(0, 1)
        .help("anchors whose shape overlaps a truth's by more than this learn it besides the best; 1: none");
    k.choice("iou_thresh_kind", loss_.iou_thresh_kind, OverlapKind::iou, kOverlapKindNames)
        .help("how that overlap is measured");
    if (!grid_.gaussian) nwd_keys(k);
    k.flag("objectness_smooth", loss_.objectness_smooth, false)
        .help("1: objectness learns the overlap instead of nothing where ignore_thresh is passed");
  }

  void nwd_keys(Keys& k) {
    k.choice("similarity", loss_.similarity.by, Similarity::iou, kSimilarityNames)
        .help(
            "how overlap is measured for ignore_thresh, truth_thresh and the best anchor; nwd is for tiny "
            "objects");
    k.real("nwd_constant", loss_.similarity.constant, 12.8f)
        .more_than(0)
        .help(
            "C of similarity=nwd and iou_loss=nwd: about the size of the objects in pixels of the network "
            "input");
  }

  void loss_keys(Keys& k) {
    if (grid_.gaussian)
      k.choice("iou_loss", loss_.box_loss, BoxLoss::mse, kGaussianBoxLossNames)
          .help("what a box's error is measured by; mse: by the density of its distribution");
    else
      k.choice("iou_loss", loss_.box_loss, BoxLoss::mse, kBoxLossNames)
          .help(
              "what a box's error is measured by; the slopes of nwd are exact, and small: iou_normalizer=5 "
              "or more");
    k.real("iou_normalizer", loss_.iou_normalizer, 0.75f)
        .at_least(0)
        .help("factor of the box's slopes, mse too");
    if (grid_.gaussian)
      k.real("uc_normalizer", loss_.uc_normalizer, 1).at_least(0).help("factor of the deviations' slopes");
    else
      feedback_keys(k, loss_.feedback);
    k.real("obj_normalizer", loss_.obj_normalizer, 1).at_least(0).help("factor of the objectness's slopes");
    k.real("cls_normalizer", loss_.cls_normalizer, 1)
        .at_least(0)
        .help("factor of the true class's slope; only together with counters_per_class, as in Darknet");
    k.real("delta_normalizer", loss_.delta_normalizer, 1).at_least(0).help("factor of all slopes");
    k.real("max_delta", loss_.max_delta, FLT_MAX)
        .more_than(0)
        .shown_as("none")
        .help(grid_.gaussian
                  ? "bound of the slopes of boxes and deviations, and of the factors from counters_per_class"
                  : "bound of a box's slopes (not for mse), and of the factors from counters_per_class");
    k.integers("counters_per_class", counters_)
        .at_least(1)
        .shown_as("none")
        .help("how often each class occurs: rare ones get larger slopes");
    k.real("label_smooth_eps", loss_.label_smooth_eps, 0)
        .between(0, 1)
        .help("classes learn eps/2 and 1 - eps/2 instead of 0 and 1");
    if (!grid_.gaussian)
      k.flag("focal_loss", loss_.focal_loss, false).help("1: classes that are right already count less");
  }

  void ignored_keys(Keys& k) const {
    k.ignored("show_details", "the loss is always told in its parts");
    if (grid_.gaussian) return;
    k.ignored("uc_normalizer", "Darknet reads it in [Gaussian_yolo] only");
    k.ignored("beta1", "Darknet does not read it either");
    for (const char* key : {"embedding_layer", "sim_thresh", "track_history_size", "dets_for_track",
                            "dets_for_show", "track_ciou_norm"})
      k.ignored(key, "tracking is not part of this engine");
  }

  void choose_anchors(const Plan& p) {
    if (mask_.empty()) {
      mask_.resize(num_);
      std::iota(mask_.begin(), mask_.end(), 0);
    }
    p.require(int(mask_.size()) <= num_, "mask",
              fmt::format("mask lists {} anchors, but there are num={}", mask_.size(), num_));
    for (int m : mask_)
      p.require(m < num_, "mask",
                fmt::format("mask has {}, but num={} anchors are numbered from 0", m, num_));
  }

  std::vector<float> class_multipliers() const {
    if (counters_.empty()) return {};
    const float most = float(*std::max_element(counters_.begin(), counters_.end()));
    std::vector<float> multipliers;
    for (int count : counters_) multipliers.push_back(std::min(most / float(count), loss_.max_delta));
    return multipliers;
  }

  int num_ = 1;
  std::vector<float> listed_anchors_;
  std::vector<Anchor> anchors_;  // all of them
  std::vector<int> mask_;        // those of this head
  std::vector<int> counters_;
  std::string map_;
  std::vector<int> class_map_;
  NmsSettings nms_;
  YoloLoss loss_;
  Augmentation augmentation_;
  Truths truths_;
  View<float> delta_;  // like x
  bool training_ = false;
  LossWork work_;
  LossReport* report_ = nullptr;
};

class GaussianYolo final : public Yolo {
 public:
  GaussianYolo() { grid_.gaussian = true; }
};

}  // namespace

extern const LayerType yolo = {"yolo", nullptr, "boxes from anchors, with independent classes", make<Yolo>};
extern const LayerType gaussian_yolo = {
    "Gaussian_yolo", nullptr, "as [yolo], with a deviation for each number of a box", make<GaussianYolo>};

}  // namespace osprey
