// [region]: boxes from anchors, at each location of a grid, with one distribution over the classes.
//
//   objectness = logistic of the input;  classes = softmax of the input if softmax=1, else the input itself
//   x, y, w, h = the input, kept as it is: logistic and e^ are applied when a box is read
//
// With a tree of classes there is a softmax for each group of siblings; with background=1 (pjreddie's) the
// place of objectness is that of a class more, "nothing".
//
// Anchors are in cells of the grid, not in pixels as those of [yolo]. "YOLO9000: Better, Faster, Stronger",
// Redmon and Farhadi, CVPR 2017. The form is AlexeyAB's; the loss is in region_loss.cpp.
#include <algorithm>
#include <cmath>

#include "core/activations.h"
#include "core/parallel.h"
#include "cuda/region.h"
#include "cuda/softmax.h"
#include "layers/class_file.h"
#include "layers/heads/head.h"
#include "layers/heads/onnx_boxes.h"

namespace osprey {
namespace cpu {
namespace {

// from and to may be equal.
void softmax(const float* from, float* to, int n) {
  const float largest = *std::max_element(from, from + n);
  float sum = 0;
  for (int i = 0; i < n; ++i) sum += to[i] = exponential(from[i] - largest);
  for (int i = 0; i < n; ++i) to[i] /= sum;
}

}  // namespace

void region_forward(Stream&, View<const float> x, View<float> y, int row_length, RegionClasses classes) {
  const int first_class = classes == RegionClasses::softmax_with_background ? kObjectness : kClasses;
  parallel_for(y.size() / row_length, 256, [&](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r) {
      const float* from = x.data + r * row_length;
      float* to = y.data + r * row_length;
      std::copy_n(from, kObjectness, to);
      if (first_class > kObjectness) to[kObjectness] = logistic(from[kObjectness]);
      if (classes != RegionClasses::as_they_are)
        softmax(from + first_class, to + first_class, row_length - first_class);
      else
        std::copy(from + kClasses, from + row_length, to + kClasses);
    }
  });
}

}  // namespace cpu

namespace {

class Region final : public Head, public OnnxHead {
 public:
  void keys(Keys& k) override {
    k.integer("classes", grid_.classes, 20).between(1, 65536).help("how many classes there are");
    k.integer("num", num_, 1).between(1, 4096).help("how many anchors there are");
    k.reals("anchors", listed_anchors_)
        .more_than(0)
        .shown_as("0.5 each")
        .help("widths and heights of typical boxes, in cells of the grid");
    k.integer("coords", coords_, 4).between(4, 4).help("numbers of a box: 4");
    k.flag("softmax", softmax_, false).help("1: the classes of a box exclude each other");
    loss_keys(k);
    nms_keys(k, nms_);
    augmentation_keys(k, augmentation_);
    k.flag("background", loss_.background, false)
        .help("1, with softmax=1: the place of objectness is that of a class more, nothing");
    k.text("tree", tree_path_, "")
        .help(
            "a file that makes classes a tree, lines `name parent`: each group of siblings has its own sum");
    k.text("map", map_path_, "")
        .help(
            "a file with a number for each class of the labels: the class of this head that it is; with a "
            "tree, only these classes are listed");
    k.ignored("absolute", "Darknet does not use it either");
    k.ignored("log", "Darknet does not use it either");
    k.ignored("sqrt", "Darknet does not use it either");
    k.ignored("mask_scale", "it is for coords other than 4");
  }

  void plan(Plan& p) override {
    const Shape in = p.input();
    const int channels = num_ * grid_.row_length();
    p.require(
        in.c == channels,
        fmt::format("needs {0} channels ({1} anchors x (5 + {2} classes)); the layer before has {3}: set its "
                    "filters={0}",
                    channels, num_, grid_.classes, in.c));
    anchors_ = read_anchors(p, listed_anchors_, num_);
    plan_class_map(p, map_path_, grid_.classes, map_);
    if (!tree_path_.empty()) plan_tree(p);
    check_background(p);
    grid_.rows = in.h;
    grid_.columns = in.w;
    cell_width_ = float(p.options().network_input.w) / float(in.w);
    cell_height_ = float(p.options().network_input.h) / float(in.h);
    p.constant(grid_.anchors, anchors_);
    p.constant(grid_.class_map, map_);
    p.output(in, Type::f32);
    p.in_place();
    p.obeys_writes();
    p.keep(delta_, in);
    training_ = p.training();
    if (!training_ && lists_mapped() && p.on_gpu())
      p.lasting(mapped_, {in.n, 1, in.h * in.w * num_, int(map_.size())});
    if (!training_) return;
    p.truths(truths_, augmentation_.max_boxes);
    p.step(step_);
    p.loss(report_);
    plan_loss_work(p, work_, augmentation_.max_boxes, 1);
  }

  void forward(Stream& s) override {
    on(s, cpu::region_forward, cuda::region_forward)(s, x(), y, grid_.row_length(), class_rule());
    if (grid_.tree) softmax_of_tree(s);
    if (training_)
      on(s, cpu::region_loss, cuda::region_loss)(s, grid_, loss_, y, truths_, step_, delta_, work_, report_);
  }
  void backward(Stream& s) override {
    if (dx()) on(s, cpu::head_backward, cuda::head_backward)(s, delta_, dx(), writes() == Write::overwrite);
  }

  bool has_loss() const override { return true; }

  int classes() const override { return lists_mapped() ? int(map_.size()) : grid_.classes; }
  int label_classes() const override { return map_.empty() ? grid_.classes : int(map_.size()); }
  std::vector<Anchor> anchor_shapes() const override {
    std::vector<Anchor> shapes = anchors_;
    for (Anchor& a : shapes) a = {a.w * cell_width_, a.h * cell_height_};
    return shapes;
  }
  NmsSettings nms() const override { return nms_; }
  View<const float> delta() const override { return delta_; }
  Augmentation augmentation() const override { return augmentation_; }
  Listed most_listed() const override { return {grid_.rows_of_image(), grid_.rows_of_image(), false}; }

  // Darknet gives all its candidates the objectness 1: the class probabilities have it in them.
  void decode(View<const float> output, int image, Thresholds thresholds, Candidates& out) const override {
    RegionGrid grid = grid_;  // its tables are in the memory of the device
    grid.anchors = {anchors_.data(), {1, 1, 1, num_}};
    grid.tree = tables_.view();
    out.classes = classes();
    for (int r = 0; r < grid.rows_of_image(); ++r) {
      const float* row = &output[(image * grid.rows_of_image() + r) * grid.row_length()];
      std::vector<float> scores = class_scores(grid, row, thresholds);
      const auto above = [&](float score) { return score > thresholds.score; };
      if (std::none_of(scores.begin(), scores.end(), above)) continue;
      out.boxes.push_back(grid.box(row, grid.place(r)));
      out.objectness.push_back(1);
      for (float score : scores) out.probabilities.push_back(above(score) ? score : 0);
    }
  }

  OnnxHead::Detections detections_to_onnx(OnnxGraph& g) const override {
    g.require(tree_path_.empty(), "tree", "which classes of a tree are listed depends on a threshold");
    const OnnxRows rows(g, x().shape, num_, grid_.row_length());
    const std::string centre = rows.in_image(g.add("Sigmoid", {rows.part(kX, kW)}));
    const std::string size = g.add("Mul", {g.add("Exp", {rows.part(kW, kObjectness)}),
                                           rows.anchors(anchors_, float(grid_.columns), float(grid_.rows))});
    const std::string boxes = g.concatenated({centre, size}, 2);
    if (loss_.background) {  // a class among the others, which is not listed
      const std::string all = g.softmax(rows.part(kObjectness, grid_.row_length()), 2);
      return {boxes, g.slice(all, 2, 1, grid_.classes + 1), rows.count()};
    }
    std::string objectness = g.add("Sigmoid", {rows.part(kObjectness, kClasses)});
    if (loss_.classfix == -1)  // as listed_objectness() of cuda/region.h
      objectness = g.add("Where", {g.add("Less", {objectness, g.number(0.5f)}), g.number(0), objectness});
    const std::string classes = rows.part(kClasses, grid_.row_length());
    return {boxes, g.add("Mul", {objectness, softmax_ ? g.softmax(classes, 2) : classes}), rows.count()};
  }

  void list(Stream& s, Thresholds thresholds, const DetectionLists& lists) const override {
    if (lists_mapped())
      cuda::region_mapped_candidates(s, grid_, y, thresholds.score, mapped_, lists);
    else
      cuda::region_candidates(s, grid_, loss_, y, thresholds.score, thresholds.tree, lists);
  }

 private:
  bool lists_mapped() const { return !map_path_.empty() && !tree_path_.empty(); }

  // Of a row, for each class that is listed. A tree without a map names one class, whose score AlexeyAB's
  // Darknet does not multiply by the objectness.
  std::vector<float> class_scores(const RegionGrid& grid, const float* row, Thresholds thresholds) const {
    const float objectness = region_rules::listed_objectness(loss_, row[kObjectness]);
    const float* conditional = row + kClasses;
    std::vector<float> scores(size_t(classes()), 0);
    if (lists_mapped()) {
      for (size_t c = 0; c < scores.size(); ++c)
        scores[c] = objectness * grid.tree.probability(conditional, map_[c]);
    } else if (grid.tree) {
      if (!(objectness > thresholds.score)) return scores;
      const int found = grid.tree.most_special(conditional, thresholds.tree);
      if (found >= 0) scores[size_t(found)] = grid.tree.probability(conditional, found);
    } else {
      for (int c = 0; c < grid.classes; ++c) scores[size_t(c)] = objectness * conditional[c];
    }
    return scores;
  }

  RegionClasses class_rule() const {
    if (loss_.background) return RegionClasses::softmax_with_background;
    return softmax_ && tree_path_.empty() ? RegionClasses::softmax : RegionClasses::as_they_are;
  }

  void plan_tree(Plan& p) {
    if (tables_.parents.empty()) tables_ = read_class_tree(class_file(p, "tree", tree_path_));
    p.require(tables_.classes() == grid_.classes, "tree",
              fmt::format("{} has {} classes, but classes={}", tree_path_, tables_.classes(), grid_.classes));
    p.require(!loss_.focal_loss, "focal_loss", "focal_loss does not know classes of a tree");
    p.constant(grid_.tree.parents, tables_.parents);
    p.constant(grid_.tree.groups, tables_.groups);
    p.constant(grid_.tree.group_of, tables_.group_of);
    p.constant(grid_.tree.children, tables_.children);
    bounds_ = tables_.groups;
    for (int& first : bounds_) first += kClasses;
    p.constant(groups_.bounds, bounds_);
    groups_.groups = int(bounds_.size()) - 1;
  }

  void check_background(const Plan& p) const {
    if (!loss_.background) return;
    p.require(softmax_ && tree_path_.empty(), "background", "background=1 needs softmax=1, and no tree");
    p.require(!loss_.rescore && loss_.classfix == 0, "background",
              "background=1 has no objectness that rescore or classfix could teach");
  }

  // The rows of an image below each other, so that channels are those of a row.
  void softmax_of_tree(Stream& s) {
    const Tensor rows(y.data, {y.shape.n, y.shape.h, y.shape.w * num_, grid_.row_length()}, Type::f32);
    on(s, cpu::softmax_forward, cuda::softmax_forward)(s, rows, rows, groups_);
  }

  void loss_keys(Keys& k) {
    k.real("thresh", loss_.thresh, 0.5f)
        .between(0, 1)
        .help("boxes that overlap a truth by more than this are not told that they are background");
    k.flag("bias_match", loss_.bias_match, false)
        .help("1: a truth goes to the anchor that fits best; 0: to the box that does");
    k.flag("rescore", loss_.rescore, false).help("1: objectness learns the overlap of its box instead of 1");
    k.real("coord_scale", loss_.coord_scale, 1).at_least(0).help("factor of the slopes of boxes");
    k.real("object_scale", loss_.object_scale, 1)
        .at_least(0)
        .help("factor of the slopes of objectness, at truths");
    k.real("noobject_scale", loss_.noobject_scale, 1).at_least(0).help("the same elsewhere");
    k.real("class_scale", loss_.class_scale, 1).at_least(0).help("factor of the slopes of classes");
    k.integer("classfix", loss_.classfix, 0)
        .between(-1, 2)
        .help("-1: objectness learns the overlap everywhere; 1, 2: overlaps beyond thresh learn their class");
    k.flag("focal_loss", loss_.focal_loss, false).help("1: classes that are right already count less");
  }

  int num_ = 1, coords_ = 4;
  std::vector<float> listed_anchors_;
  std::vector<Anchor> anchors_;
  float cell_width_ = 0, cell_height_ = 0;  // in pixels of the network input
  bool softmax_ = false;
  std::string tree_path_, map_path_;
  ClassTreeTables tables_;
  std::vector<int> map_, bounds_;
  SoftmaxGroups groups_;  // of a tree, in a row
  View<float> mapped_;    // what the classes of the map score, on a device
  NmsSettings nms_;
  RegionGrid grid_;
  RegionLoss loss_;
  Augmentation augmentation_;
  Truths truths_;
  const Step* step_ = nullptr;
  View<float> delta_;  // like x
  bool training_ = false;
  LossWork work_;
  LossReport* report_ = nullptr;
};

}  // namespace

extern const LayerType region = {"region", nullptr, "boxes from anchors, with exclusive classes",
                                 make<Region>};

}  // namespace osprey
