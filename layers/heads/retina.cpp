// [retina]: one judgement per anchor of every level: a logistic for each class, and a box.
//
//   from = class maps of all levels, then box maps of all levels[, then quality maps of all levels]
//
// "Focal Loss for Dense Object Detection", Lin et al., ICCV 2017. With other keys the same head is that of
// FCOS (points), ATSS, PAA, OTA or YOLOX: they differ in what matches anchors with truths, in what the box's
// numbers mean, and in a third map that says how good a box is. docs/models.md has their cfgs.
#include "cuda/dense_loss.h"
#include "layers/heads/anchor_keys.h"
#include "layers/heads/row_detections.h"
#include "layers/losses/box_loss_keys.h"
#include "layers/losses/feedback_keys.h"
#include "layers/matching/assigner.h"

namespace osprey {
namespace {

constexpr const char* kQualityNames[] = {"none", "centerness", "iou", "objectness"};  // of RowQuality
constexpr const char* kCoderNames[] = {"deltas", "distances"};                        // of RowCoder::Kind
enum class DenseClassLoss { focal, bce };
constexpr const char* kClassLossNames[] = {"focal", "bce"};
enum class Normaliser { image, batch };
constexpr const char* kNormaliserNames[] = {"image", "batch"};
enum class ScoreRule { product, root };
constexpr const char* kScoreNames[] = {"product", "root"};

class Retina final : public Head {
 public:
  void keys(Keys& k) override {
    k.integer("classes", classes_, 20).between(1, 65536).help("how many classes there are");
    levels_.keys(k);
    anchor_keys_.keys(k, 4, 3, "0.5,1,2");
    MaxIouRule matching;
    matching.foreground = 0.5f;
    matching.background = 0.4f;
    matching.low_quality = LowQuality::own_truth;
    assigner_.dense_keys(k, matching);
    loss_keys(k);
    nms_.threshold = 0.5f;
    nms_.max_detections = 100;
    nms_.top_k = 1000;
    nms_keys(k, nms_);
    top_k_key(k, nms_);
    augmentation_keys(k, augmentation_);
  }

  void plan(Plan& p) override {
    const bool has_quality = rule_.quality != RowQuality::none;
    levels_.plan(p, has_quality ? 3 : 2,
                 has_quality ? "the class maps of all levels, then the box maps, then the quality maps"
                             : "the class maps of all levels, then the box maps of all levels");
    anchor_boxes_ = anchor_keys_.place(p, levels_);
    const int a = anchor_keys_.per_cell(), rows = int(anchor_boxes_.size());
    levels_.require_channels(p, 0, a * classes_, fmt::format("{} anchors x {} classes", a, classes_));
    levels_.require_channels(p, 1, a * 4, fmt::format("{} anchors x 4", a));
    if (has_quality) levels_.require_channels(p, 2, a, fmt::format("{} anchors", a));
    p.require(rule_.box_loss.on_deltas ? rule_.coder.kind == RowCoder::Kind::deltas : true, "box_loss",
              "box_loss=smooth_l1 compares deltas: coder=distances needs one of the boxes, as giou");
    p.constant(anchors_, anchor_boxes_);
    const int images = p.input().n;
    network_ = p.options().network_input;
    training_ = p.training();
    p.output(training_ ? Shape{images, 1, 1, 1} : Shape{images, 1, rows, kClasses + classes_}, Type::f32);
    plan_rows(p, {images, 1, rows, 1}, has_quality);
    AnchorLevels of_levels;
    for (int l = 0; l < levels_.levels(); ++l) of_levels.add(levels_.cells(l) * a);
    row_list_.plan(p, {images, 1, rows, kClasses + classes_}, of_levels, nms_);
    if (!training_) return;
    p.obeys_writes();
    p.truths(truths_, augmentation_.max_boxes);
    p.loss(report_);
    plan_feedback(p, rule_.feedback);
    plan_truth_lists(p, lists_, augmentation_.max_boxes);
    assigner_.plan(p, levels_.anchor_levels(a), augmentation_.max_boxes);
    if (assigner_.reads_predictions()) {
      p.require(a == 1, "assigner",
                fmt::format("this assigner matches points, one in each cell, not {} anchors", a));
      p.constant(cells_, AnchorKeys::cells(levels_));
      p.scratch(predicted_, {images, 1, 1, rows});
    }
    p.scratch(match_, {images, 1, 1, rows});
    p.scratch(work_.weights, {images, 1, 1, rows});
    p.scratch(work_.class_targets, {images, 1, 1, rows});
    p.scratch(work_.sums, {images, 1, 1, 2});
    p.scratch(work_.parts, {1, 1, 1, dense_parts({images, 1, rows, 1}) * int(sizeof(LossReport))}, Type::u8);
  }

  void forward(Stream& s) override {
    levels_.gather(s, *this, 0, logits_);
    levels_.gather(s, *this, 1, deltas_);
    if (quality_) levels_.gather(s, *this, 2, quality_);
    const DenseRows rows = {logits_, deltas_, quality_};
    if (!training_) {
      on(s, cpu::dense_rows, cuda::dense_rows)(s, rows, anchors_, rule_.coder, score_ == ScoreRule::root,
                                               float(network_.w), float(network_.h), y);
      return;
    }
    on(s, cpu::list_truths, cuda::list_truths)(s, truths_, float(network_.w), float(network_.h), classes_,
                                               lists_);
    match(s, rows);
    on(s, cpu::dense_loss, cuda::dense_loss)(
        s, rows, DenseTargets{anchors_, match_, lists_}, rule_, work_,
        DenseGradients{logit_gradients_, delta_gradients_, quality_gradients_}, y, report_);
  }

  void backward(Stream& s) override {
    levels_.scatter(s, *this, 0, logit_gradients_);
    levels_.scatter(s, *this, 1, delta_gradients_);
    if (quality_) levels_.scatter(s, *this, 2, quality_gradients_);
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
  void match(Stream& s, const DenseRows& rows) {
    AssignerInputs inputs = {anchors_, lists_, {}, {}};
    inputs.measure = [&](View<const int> match, View<float> costs) {
      on(s, cpu::dense_costs, cuda::dense_costs)(s, rows, DenseTargets{anchors_, match, lists_}, rule_,
                                                 costs);
    };
    if (assigner_.reads_predictions()) {
      on(s, cpu::decode_boxes, cuda::decode_boxes)(s, rows.deltas, anchors_, rule_.coder, predicted_);
      const Shape corners = {predicted_.shape.n, 1, predicted_.shape.c, 4};
      inputs.predictions = {cells_,
                            {reinterpret_cast<const float*>(predicted_.data), corners},
                            rows.logits,
                            rule_.quality == RowQuality::objectness ? rows.quality : View<const float>{}};
    }
    assigner_.match(s, inputs, match_);
  }

  void loss_keys(Keys& k) {
    DenseClassLoss class_loss = DenseClassLoss::focal;
    k.choice("class_loss", class_loss, DenseClassLoss::focal, kClassLossNames)
        .help("focal, or plain binary cross entropy");
    rule_.class_loss.kind =
        class_loss == DenseClassLoss::focal ? ValueLoss::Kind::focal : ValueLoss::Kind::bce;
    k.real("focal_alpha", rule_.class_loss.alpha, 0.25f)
        .between(-1, 1)
        .help("focal: weight of objects against background; negative: none");
    k.real("focal_gamma", rule_.class_loss.gamma, 2)
        .at_least(0)
        .help("focal: how much less what is right already counts");
    k.flag("soft_classes", rule_.soft_classes, false)
        .help("1: a true class learns the overlap of its box with the truth instead of 1 (not with focal)");
    rule_.box_loss.beta = 0;
    box_loss_keys(k, rule_.box_loss, "0");
    rule_.box_loss.of_boxes.constant = assigner_.nwd_constant();
    k.real("box_weight", rule_.box_weight, 1).at_least(0).help("factor of the box loss");
    feedback_keys(k, rule_.feedback);
    k.choice("coder", rule_.coder.kind, RowCoder::Kind::deltas, kCoderNames)
        .help("what the box's numbers are: deltas of the anchor, or distances of the sides from its centre");
    k.real("coder_centre", rule_.coder.coder.centre_weight, 1)
        .more_than(0)
        .help("deltas of the centre are multiplied by this");
    k.real("coder_size", rule_.coder.coder.size_weight, 1)
        .more_than(0)
        .help("deltas of the size are multiplied by this");
    k.choice("quality", rule_.quality, RowQuality::none, kQualityNames)
        .help("what the third map of a level learns; the class scores are multiplied by it");
    k.real("quality_weight", rule_.quality_weight, 1).at_least(0).help("factor of its loss");
    k.choice("score", score_, ScoreRule::product, kScoreNames)
        .help("class times quality, or the root of that (FCOS, PAA)");
    Normaliser normaliser = Normaliser::image;
    k.choice("normaliser", normaliser, Normaliser::image, kNormaliserNames)
        .help("losses are divided by the positive anchors of the image (torchvision) or of the mini-batch");
    rule_.per_image = normaliser == Normaliser::image;
  }

  void plan_rows(Plan& p, Shape rows, bool has_quality) {
    const auto with = [&](int c) { return Shape{rows.n, 1, rows.w, c}; };
    p.scratch(logits_, with(classes_));
    p.scratch(deltas_, with(4));
    p.keep(logit_gradients_, with(classes_));
    p.keep(delta_gradients_, with(4));
    if (!has_quality) return;
    p.scratch(quality_, with(1));
    p.keep(quality_gradients_, with(1));
  }

  int classes_ = 20;
  LevelInputs levels_;
  AnchorKeys anchor_keys_;
  Assigner assigner_;
  DenseRule rule_;
  ScoreRule score_ = ScoreRule::product;
  NmsSettings nms_;
  RowList row_list_;
  Augmentation augmentation_;

  Shape network_;
  bool training_ = false;
  std::vector<Box> anchor_boxes_;
  View<const Box> cells_;                  // [1,1,1,R], of points
  View<Box> predicted_;                    // [N,1,1,R]
  View<const Box> anchors_;                // [1,1,1,R]
  View<float> logits_, deltas_, quality_;  // [N,1,R,...], as gathered from the levels
  View<float> logit_gradients_, delta_gradients_, quality_gradients_;
  Truths truths_;
  TruthLists lists_;
  View<int> match_;  // [N,1,1,R]
  DenseWork work_;
  LossReport* report_ = nullptr;
};

}  // namespace

extern const LayerType retina = {"retina", nullptr,
                                 "classes and boxes of the anchors of several levels (RetinaNet and its kin)",
                                 make<Retina>};

}  // namespace osprey
