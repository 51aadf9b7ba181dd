// [ssd]: each default box of every level has one class, or is background.
//
//   from = class maps of all levels, then box maps of all levels
//
// A class map has (1 + classes) channels for each box of a cell, the background first; a box map 4. "SSD:
// Single Shot MultiBox Detector", Liu et al., ECCV 2016. The loss is torchvision's: cross entropy of the
// matched boxes and of the three times as many, in each image, that are background and cost most; smooth L1
// of the matched boxes' deltas; both over the matched boxes of the mini-batch.
#include "cuda/ssd.h"

#include "core/anchors.h"
#include "cuda/losses.h"
#include "cuda/matching_ssd.h"
#include "cuda/sampler.h"
#include "layers/heads/level_inputs.h"
#include "layers/heads/row_detections.h"
#include "layers/losses/box_loss_keys.h"
#include "layers/matching/assigner.h"

namespace osprey {
namespace {

enum class Clip { none, sizes, boxes };
constexpr const char* kMatchingNames[] = {"each", "pairs"};  // of SsdMatching
constexpr const char* kClipNames[] = {"none", "sizes", "boxes"};

// "2|2,3|2" to {{2}, {2, 3}, {2}}.
std::vector<std::vector<float>> read_ratios(const Plan& p, const std::string& text) {
  std::vector<std::vector<float>> levels(1);
  size_t start = 0;
  for (size_t i = 0; i <= text.size(); ++i) {
    if (i < text.size() && text[i] != ',' && text[i] != '|') continue;
    const std::string word = text.substr(start, i - start);
    char* end = nullptr;
    const float ratio = std::strtof(word.c_str(), &end);
    p.require(!word.empty() && *end == 0 && ratio > 0 && std::isfinite(ratio), "ratios",
              fmt::format("`{}` is not a ratio: ratios are numbers above 0, as in ratios=2|2,3|2", word));
    levels.back().push_back(ratio);
    if (i < text.size() && text[i] == '|') levels.emplace_back();
    start = i + 1;
  }
  return levels;
}

class Ssd final : public Head {
 public:
  void keys(Keys& k) override {
    k.integer("classes", classes_, 20)
        .between(1, 65536)
        .help("how many classes there are, without the background");
    levels_.keys(k);
    box_keys(k);
    k.real("foreground", foreground_, 0.5f)
        .between(0, 1)
        .help(
            "a default box that overlaps a truth by at least this is matched with it, as is the best of "
            "each");
    k.choice("matching", matching_, SsdMatching::each, kMatchingNames)
        .help(
            "which box a truth gets in any case: each its best (torchvision), or the best pair of all, then "
            "of "
            "what is left, and so on (the authors')");
    k.real("background", background_, 1)
        .between(0, 1)
        .help("boxes that are not matched though they overlap a truth by this are ignored; 1: none are");
    k.real("negatives", mining_.ratio, 3)
        .at_least(0)
        .help("how many boxes of the background learn for each matched one, those that cost most");
    box_loss_keys(k, rule_.box_loss, "1");
    k.real("box_weight", rule_.box_weight, 1).at_least(0).help("factor of the box loss");
    nms_.max_detections = 200;
    nms_.top_k = 400;
    nms_.top_k_of_class = true;
    nms_keys(k, nms_);
    top_k_key(k, nms_);
    augmentation_keys(k, augmentation_);
  }

  void plan(Plan& p) override {
    levels_.plan(p, 2, "the class maps of all levels, then the box maps of all levels");
    place_boxes(p);
    const int rows = int(boxes_.size()), images = p.input().n;
    const auto with = [&](int c) { return Shape{images, 1, rows, c}; };
    rule_.coder.centre_weight = 1 / variances_[0];
    rule_.coder.size_weight = 1 / variances_[1];
    network_ = p.options().network_input;
    training_ = p.training();
    p.constant(anchors_, boxes_);
    p.output(training_ ? Shape{images, 1, 1, 1} : with(kClasses + classes_), Type::f32);
    row_list_.plan(p, with(kClasses + classes_), {}, nms_);
    p.scratch(logits_, with(1 + classes_));
    p.scratch(deltas_, with(4));
    p.keep(gradients_.logits, with(1 + classes_));
    p.keep(gradients_.deltas, with(4));
    if (training_) plan_loss(p, images, rows);
  }

  void forward(Stream& s) override {
    levels_.gather(s, *this, 0, logits_);
    levels_.gather(s, *this, 1, deltas_);
    const SsdRows rows = {logits_, deltas_};
    const float width = float(network_.w), height = float(network_.h);
    if (!training_) {
      on(s, cpu::ssd_rows, cuda::ssd_rows)(s, rows, anchors_, rule_.coder, width, height, y);
      return;
    }
    on(s, cpu::list_truths, cuda::list_truths)(s, truths_, width, height, classes_, lists_);
    on(s, cpu::ssd_matching, cuda::ssd_matching)(s, anchors_, lists_.lists(), foreground_, chosen_, match_,
                                                 matching_);
    on(s, cpu::ssd_labels, cuda::ssd_labels)(s, anchors_, lists_, background_ < 1 ? background_ : 2, match_,
                                             labels_);
    on(s, cpu::cross_entropy, cuda::cross_entropy)(s, logits_, labels_, RowClasses{}, costs_);
    on(s, cpu::sample_hard, cuda::sample_hard)(s, match_, View<const float>(costs_.data, match_.shape),
                                               mining_, weights_, counts_);
    on(s, cpu::ssd_loss, cuda::ssd_loss)(s, rows, SsdTargets{anchors_, match_, lists_},
                                         SsdSample{labels_, costs_, weights_, counts_}, rule_, reports(),
                                         gradients_, y, report_);
  }

  void backward(Stream& s) override {
    levels_.scatter(s, *this, 0, gradients_.logits);
    levels_.scatter(s, *this, 1, gradients_.deltas);
  }

  bool has_loss() const override { return true; }
  int classes() const override { return classes_; }
  NmsSettings nms() const override { return nms_; }
  Augmentation augmentation() const override { return augmentation_; }

  void decode(View<const float> output, int image, Thresholds thresholds, Candidates& out) const override {
    row_list_.decode(output, image, thresholds.score, out);
  }
  void list(Stream& s, Thresholds thresholds, const DetectionLists& lists) const override {
    row_list_.list(s, y, thresholds.score, lists);
  }
  Listed most_listed() const override { return row_list_.most_listed(y.shape); }

 private:
  void box_keys(Keys& k) {
    k.reals("min_sizes", min_sizes_)
        .more_than(0)
        .required()
        .help("sides of the small square of each level, in pixels of the network input");
    k.reals("max_sizes", max_sizes_)
        .more_than(0)
        .shown_as("min_sizes of the next level")
        .help("for each level: the large square has the side sqrt(min_size * max_size)");
    k.text("ratios", ratios_, "2")
        .help(
            "of width and height, besides the squares: each as it is and turned. For each level, as in "
            "2|2,3|2, or one list for all");
    k.real("offset", offset_, 0.5f).between(0, 1).help("where in its cell the centre of a box lies");
    k.choice("clip", clip_, Clip::none, kClipNames)
        .help(
            "cuts the sizes of default boxes at that of the image (torchvision), or the boxes at its edges");
    k.reals("variances", variances_)
        .more_than(0)
        .shown_as("0.1,0.2")
        .help("deltas of the centre and of the size are divided by these");
    if (variances_.empty()) variances_ = {0.1f, 0.2f};
  }

  void check_sizes(const Plan& p) {
    const int levels = levels_.levels();
    const auto need = [&](const char* key, size_t listed) {
      p.require(int(listed) == levels, key,
                fmt::format("{} must list {} numbers, one for each level, not {}", key, levels, listed));
    };
    need("min_sizes", min_sizes_.size());
    if (max_sizes_.empty() && levels > 1) {
      max_sizes_.assign(min_sizes_.begin() + 1, min_sizes_.end());
      // As far from the last one as that is from the one before.
      max_sizes_.push_back(2 * min_sizes_[levels - 1] - min_sizes_[levels - 2]);
      p.require(max_sizes_.back() > 0, "min_sizes", "min_sizes must grow, or max_sizes be given");
    }
    need("max_sizes", max_sizes_.size());
    p.require(variances_.size() == 2, "variances",
              fmt::format("variances must list 2 numbers, not {}", variances_.size()));
  }

  // The default boxes of a cell of this level, about (0, 0).
  std::vector<Box> cell_of(int level, const std::vector<float>& ratios, Shape network) const {
    std::vector<Box> shapes = default_boxes(min_sizes_[level], max_sizes_[level], ratios);
    if (clip_ == Clip::sizes)
      for (Box& b : shapes) {
        b.x2 = std::min(b.x2, float(network.w) / 2), b.x1 = -b.x2;
        b.y2 = std::min(b.y2, float(network.h) / 2), b.y1 = -b.y2;
      }
    return shapes;
  }

  // All default boxes, level by level, in pixels of the network input.
  void place_boxes(const Plan& p) {
    check_sizes(p);
    const Shape network = p.options().network_input;
    const std::vector<std::vector<float>> ratios = read_ratios(p, ratios_);
    p.require(ratios.size() == 1 || int(ratios.size()) == levels_.levels(), "ratios",
              fmt::format("ratios must be one list, or one for each of the {} levels, not {}",
                          levels_.levels(), ratios.size()));
    boxes_.clear();
    for (int l = 0; l < levels_.levels(); ++l) {
      const std::vector<Box> shapes = cell_of(l, ratios[ratios.size() == 1 ? 0 : l], network);
      levels_.require_few_anchors(p, l, shapes.size(), boxes_.size());
      require_channels(p, l, int(shapes.size()));
      const Shape cells = levels_.grid(l);
      const AnchorGrid grid = {cells.h, cells.w, levels_.stride_x(l), levels_.stride_y(l), offset_};
      for (int row = 0; row < grid.rows; ++row)
        for (int column = 0; column < grid.columns; ++column)
          for (const Box& shape : shapes) boxes_.push_back(grid.place(shape, row, column));
    }
    if (clip_ == Clip::boxes)
      for (Box& b : boxes_) b = clipped(b, float(network.w), float(network.h));
  }

  void require_channels(const Plan& p, int level, int boxes) const {
    for (int k = 0; k < 2; ++k) {
      const int channels = boxes * (k == 0 ? 1 + classes_ : 4), has = p.input(k * levels_.levels() + level).c;
      p.require(has == channels, "from",
                fmt::format("needs {0} channels ({1} boxes x {2}); the {3} map of level {4} has {5}: set its "
                            "filters={0}",
                            channels, boxes, k == 0 ? fmt::format("(1 + {} classes)", classes_) : "4",
                            k == 0 ? "class" : "box", level, has));
    }
  }

  void plan_loss(Plan& p, int images, int rows) {
    const Shape row = {images, 1, 1, rows};
    p.obeys_writes();
    p.truths(truths_, augmentation_.max_boxes);
    p.loss(report_);
    plan_truth_lists(p, lists_, augmentation_.max_boxes);
    p.scratch(chosen_, {images, 1, 1, augmentation_.max_boxes});
    p.scratch(match_, row);
    p.scratch(labels_, {images, 1, rows, 1});
    p.scratch(costs_, {images, 1, rows, 1});
    p.scratch(weights_, row);
    p.scratch(counts_, {images, 1, 1, 2});
    parts_ = {images, 1, 1, ssd_parts_of_image(rows)};
    p.scratch(part_bytes_, {1, 1, 1, parts_.size() * int(sizeof(LossReport))}, Type::u8);
  }

  View<LossReport> reports() const { return {static_cast<LossReport*>(part_bytes_.data), parts_}; }

  int classes_ = 20;
  LevelInputs levels_;
  std::vector<float> min_sizes_, max_sizes_, variances_;
  std::string ratios_;
  float offset_ = 0.5f, foreground_ = 0.5f, background_ = 1;
  Clip clip_ = Clip::none;
  SsdMatching matching_ = SsdMatching::each;
  HardNegativeRule mining_;
  SsdRule rule_;
  Augmentation augmentation_;
  NmsSettings nms_;
  RowList row_list_;

  Shape network_;
  bool training_ = false;
  std::vector<Box> boxes_;
  View<const Box> anchors_;      // [1,1,1,R]
  View<float> logits_, deltas_;  // [N,1,R,...], as gathered from the levels
  SsdGradients gradients_;
  Truths truths_;
  TruthLists lists_;
  View<int> chosen_, match_, labels_, counts_;
  View<float> costs_, weights_;
  Shape parts_;
  Tensor part_bytes_;
  LossReport* report_ = nullptr;
};

}  // namespace

extern const LayerType ssd = {"ssd", nullptr, "classes and boxes of the default boxes of several levels",
                              make<Ssd>};

}  // namespace osprey
