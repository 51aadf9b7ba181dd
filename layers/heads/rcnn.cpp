// [rcnn]: what each RoI holds and where exactly, from its logits (classes and background) and its deltas.
//
//   class loss   softmax cross entropy, the mean over all RoIs of the mini-batch
//   box loss     of the RoIs that hold an object, over the number of all RoIs ("Fast R-CNN", eq. 1)
//
// The gradient that goes back is that of the sum over the images: the number of images times those means.
// sampler=ohem: of all RoIs that have a label only those learn, and count, that do worst in their image.
// refine=1 hands better RoIs to the next stage of a cascade instead of detecting ("Cascade R-CNN", Cai and
// Vasconcelos, CVPR 2018).
#include "cuda/rcnn.h"

#include <algorithm>
#include <cmath>

#include "core/parallel.h"
#include "cuda/losses.h"
#include "cuda/rcnn_ohem.h"
#include "cuda/sampler.h"
#include "layers/heads/row_detections.h"
#include "layers/losses/box_loss_keys.h"
#include "layers/losses/feedback_keys.h"
#include "layers/roi/roi_maps.h"
#include "layers/roi/roi_truths.h"

namespace osprey {
namespace cpu {
namespace {

// Adds `share` of the softmax of a row of logits.
void add_softmax(const float* logits, float share, std::vector<float>& mean) {
  const size_t count = mean.size();
  const float largest = *std::max_element(logits, logits + count);
  double sum = 0;
  for (size_t c = 0; c < count; ++c) sum += std::exp(logits[c] - largest);
  for (size_t c = 0; c < count; ++c) mean[c] += share * float(std::exp(logits[c] - largest) / sum);
}

// A detection in y: a box for all classes has their probabilities, a box for one class only its own.
void write_row(float* row, CentreBox box, const RcnnRule& rule, int own, const std::vector<float>& mean) {
  const bool shared = rule.deltas == 4;
  row[kX] = box.x, row[kY] = box.y, row[kW] = box.w, row[kH] = box.h;
  row[kObjectness] = shared ? 1 : mean[size_t(rule.logit_of(own))];
  for (int c = 0; c < rule.classes; ++c)
    row[kClasses + c] = shared ? mean[size_t(rule.logit_of(c))] : float(c == own);
}

}  // namespace

void rcnn_rows(Stream&, RoiLogits logits, View<const float> deltas, View<const float> table, RcnnRule rule,
               View<float> y) {
  const int count = rule.classes + 1, length = kClasses + rule.classes, boxes = rule.boxes_of_roi();
  parallel_for(table.shape.rows(), 16, [=](int64_t first, int64_t last) {
    std::vector<float> mean;
    for (int place = int(first); place < int(last); ++place) {
      const RoiRow roi = roi_of_row(table, place);
      mean.assign(size_t(count), 0);
      for (int k = 0; k < logits.count; ++k)
        add_softmax(&logits.of_stage[k][place * count], 1.0f / float(logits.count), mean);
      for (int own = 0; own < boxes; ++own) {
        float* row = &y[(place * boxes + own) * length];
        const Deltas d = deltas_at(&deltas[place * rule.deltas + rule.deltas_of(own)]);
        CentreBox box;
        if (roi.match != kNoRoi && detected(rule, d, roi.box, box))
          write_row(row, box, rule, own, mean);
        else
          std::fill_n(row, length, 0.0f);
      }
    }
  });
}

void rcnn_refine(Stream&, View<const float> logits, View<const float> deltas, View<const float> table,
                 RcnnRule rule, View<float> refined_table) {
  for (int place = 0; place < table.shape.rows(); ++place) {
    RoiRow roi = roi_of_row(table, place);
    if (roi.match != kNoRoi) {
      int best = 0;
      if (rule.boxes_of_roi() > 1) {
        const float* of_classes = &logits[place * (rule.classes + 1) + rule.logit_of(0)];
        best = int(std::max_element(of_classes, of_classes + rule.classes) - of_classes);
      }
      roi.box = refined(rule, deltas_at(&deltas[place * rule.deltas + rule.deltas_of(best)]), roi.box);
      roi.match = kBackground;
    }
    set_roi(refined_table, place, roi);
  }
}

}  // namespace cpu

namespace {

enum class ClassLoss { softmax };
constexpr const char* kClassLossNames[] = {"softmax"};
enum class Sampler { all, ohem };
constexpr const char* kSamplerNames[] = {"all", "ohem"};
enum class Background { first, last };
constexpr const char* kBackgroundNames[] = {"first", "last"};
class Rcnn final : public Head {
 public:
  void keys(Keys& k) override {
    k.integer("classes", rule_.classes, 20)
        .between(1, 65536)
        .help("how many classes there are, without background");
    k.choice("background", background_, Background::last, kBackgroundNames)
        .help("where it stands among the logits");
    k.flag("class_specific", class_specific_, true)
        .help("1: each class has its own deltas, 4 x classes (or with the background's); 0: one box for all");
    k.real("coder_centre", rule_.coder.centre_weight, 10)
        .more_than(0)
        .help("deltas of the centre are multiplied by this");
    k.real("coder_size", rule_.coder.size_weight, 5)
        .more_than(0)
        .help("deltas of the size are multiplied by this");
    k.flag("refine", refine_, false)
        .help("1: hands the moved RoIs to the next stage of a cascade instead of detecting");
    k.real("min_size", rule_.min_size, 0).at_least(0).help("pixels; narrower or lower boxes are dropped");
    loss_keys(k);
    nms_.threshold = 0.5f;
    nms_.max_detections = 100;
    nms_keys(k, nms_);
    augmentation_keys(k, augmentation_);
  }

  void plan(Plan& p) override {
    p.require(
        p.inputs() >= 3 && p.inputs() <= 2 + RoiLogits::kMost, "from",
        "from must name the layers of classes, of boxes and of RoIs, and perhaps classes of other stages");
    if (idle_key_)
      p.require(false, idle_key_,
                fmt::format("{} needs sampler=ohem here; [roi_sampler] has keys of its own", idle_key_));
    require_roi_table(p, 2);
    read_rule(p);
    const Shape table = p.input(2);
    check_rows(p, 0, rule_.classes + 1, table);
    for (int k = 3; k < p.inputs(); ++k) check_rows(p, k, rule_.classes + 1, table);
    rule_.deltas = deltas_of_input(p);
    check_rows(p, 1, rule_.deltas, table);
    training_ = p.training();
    if (refine_)
      p.output(table, Type::f32);
    else if (training_)
      p.output({table.n, 1, table.w, 1}, Type::f32);
    else
      p.output({table.n, 1, table.w * rule_.boxes_of_roi(), kClasses + rule_.classes}, Type::f32);
    if (training_) plan_loss(p, table);
  }

  void forward(Stream& s) override {
    if (training_) forward_loss(s);
    if (refine_)
      on(s, cpu::rcnn_refine, cuda::rcnn_refine)(s, x(0), x(1), x(2), rule_, y);
    else if (!training_)
      on(s, cpu::rcnn_rows, cuda::rcnn_rows)(s, logits(), x(1), x(2), rule_, y);
  }
  void backward(Stream& s) override {
    if (dx(0))
      on(s, cpu::cross_entropy_backward, cuda::cross_entropy_backward)(s, x(0), targets_.labels, RowClasses(),
                                                                       targets_.class_weights, dx(0));
    if (dx(1)) on(s, cpu::rcnn_box_backward, cuda::rcnn_box_backward)(s, x(1), x(2), targets_, rule_, dx(1));
  }

  Head* head() override { return refine_ ? nullptr : this; }
  bool has_loss() const override { return true; }
  int classes() const override { return rule_.classes; }
  Augmentation augmentation() const override { return augmentation_; }
  NmsSettings nms() const override { return nms_; }

  void decode(View<const float> output, int image, Thresholds thresholds, Candidates& out) const override {
    decode_rows(output, image, thresholds.score, out);
  }
  void list(Stream& s, Thresholds thresholds, const DetectionLists& lists) const override {
    cuda::row_candidates(s, y, thresholds.score, lists);
  }

 private:
  void loss_keys(Keys& k) {
    k.choice("class_loss", class_loss_, ClassLoss::softmax, kClassLossNames)
        .help("softmax cross entropy of the classes and the background");
    box_loss_keys(k, rule_.box_loss, "1/9");
    k.real("nwd_constant", rule_.box_loss.of_boxes.constant, 12.8f)
        .more_than(0)
        .help("C of NWD, in pixels of the network input");
    k.real("class_weight", rule_.class_factor, 1).at_least(0).help("factor of the class loss");
    k.real("box_weight", rule_.box_factor, 1).at_least(0).help("factor of the box loss");
    k.choice("sampler", sampler_, Sampler::all, kSamplerNames)
        .help("which RoIs learn: all that [roi_sampler] labels, or ohem: those with the largest losses");
    k.integer("num", quota_.count, 64).at_least(1).help("ohem: RoIs of an image that learn");
    k.real("hard_nms", suppression_.threshold, 0.7f)
        .between(0, 1)
        .help("ohem: a RoI that overlaps one with a larger loss by more does not learn; 1: any may");
    k.real("positive_fraction", quota_.positive_fraction, 0)
        .between(0, 1)
        .help("ohem: at most this part of num holds objects, background the rest; 0: whatever does worst");
    for (const char* key : {"num", "hard_nms", "positive_fraction"})
      if (sampler_ == Sampler::all && k.given(key)) idle_key_ = key;
    feedback_keys(k, rule_.feedback);
  }

  void read_rule(const Plan& p) {
    rule_.background_first = background_ == Background::first;
    rule_.width = float(p.options().network_input.w);
    rule_.height = float(p.options().network_input.h);
  }

  static void check_rows(const Plan& p, int k, int channels, Shape table) {
    const Shape in = p.input(k);
    p.require(in.n == table.n * table.w && in.h * in.w == 1, "from",
              fmt::format("input {} must have a row for each of {} x {} RoIs, but is {}", k + 1, table.n,
                          table.w, in.text()));
    p.require(in.c == channels, "from",
              fmt::format("input {} must have {} channels, not {}", k + 1, channels, in.c));
    p.require(p.input_type(k) == Type::f32, "from",
              fmt::format("precision=bf16: input {} must be a [connected] or [convolutional]", k + 1));
  }

  // 4, 4K, or 4(K+1) if the layer has as many.
  int deltas_of_input(const Plan& p) const {
    if (!class_specific_) return 4;
    const int with_background = 4 * (rule_.classes + 1);
    return p.input(1).c == with_background ? with_background : 4 * rule_.classes;
  }

  void plan_loss(Plan& p, Shape table) {
    const Shape per_place = {table.n * table.w, 1, 1, 1};
    p.loss(report_);
    plan_feedback(p, rule_.feedback);
    truths_.plan(p, augmentation_.max_boxes);
    p.keep(targets_.labels, per_place);
    p.keep(targets_.truths, {per_place.n, 1, 1, 4});
    p.keep(targets_.class_weights, per_place);
    p.keep(targets_.box_weights, per_place);
    p.scratch(losses_.of_class, per_place);
    p.scratch(losses_.of_box, per_place);
    p.scratch(losses_.overlaps, per_place);
    costs_ = {};
    if (refine_) p.scratch(costs_, per_place);
    if (sampler_ == Sampler::ohem) plan_choice(p, {table.n, 1, 1, table.w});
    for (int k = 0; k < 3; ++k) p.backward_reads_input(k);
  }

  void plan_choice(Plan& p, Shape places) {
    quota_.apart = quota_.positive_fraction > 0;
    suppression_.kind = SoftNmsKind::hard;
    suppression_.min_score = SoftNmsRule::kGone;
    p.scratch(hard_.boxes, places);
    p.scratch(hard_.counts, {places.n, 1, 1, 1});
    p.scratch(hard_.match, places);
    p.scratch(hard_.losses, places);
    p.scratch(chosen_, places);
    p.scratch(chosen_counts_, {places.n, 1, 1, 2});
    if (suppression_.threshold >= 1) return;
    p.scratch(selected_, places);
    p.scratch(selected_counts_, {places.n, 1, 1, 1});
  }

  // Takes the labels of all but the hardest RoIs, and weighs those.
  void choose_hardest(Stream& s) {
    on(s, cpu::gather_hard_rois, cuda::gather_hard_rois)(s, x(2), targets_, losses_, rule_, hard_);
    if (suppression_.threshold < 1) {
      const SoftNmsLists lists = {hard_.boxes, hard_.counts, hard_.losses, selected_, selected_counts_};
      void (*const on_device)(Stream&, SoftNmsLists, SoftNmsRule) = cuda::soft_nms;  // it has overloads
      on(s, cpu::soft_nms, on_device)(s, lists, suppression_);
    }
    on(s, cpu::sample_ohem, cuda::sample_ohem)(s, hard_.match, hard_.losses, quota_, chosen_, chosen_counts_);
    on(s, cpu::keep_chosen, cuda::keep_chosen)(s, chosen_, targets_);
    on(s, cpu::rcnn_weights, cuda::rcnn_weights)(s, x(2).shape.n, rule_, targets_);
  }

  void forward_loss(Stream& s) {
    const int images = x(2).shape.n;
    on(s, cpu::rcnn_targets, cuda::rcnn_targets)(s, x(2), truths_.list(s), rule_, targets_);
    on(s, cpu::rcnn_weights, cuda::rcnn_weights)(s, images, rule_, targets_);
    on(s, cpu::cross_entropy, cuda::cross_entropy)(s, x(0), targets_.labels, RowClasses(), losses_.of_class);
    on(s, cpu::rcnn_box_losses, cuda::rcnn_box_losses)(s, x(1), x(2), targets_, rule_, losses_);
    if (sampler_ == Sampler::ohem) choose_hardest(s);
    on(s, cpu::rcnn_report, cuda::rcnn_report)(s, targets_, losses_, rule_, refine_ ? costs_ : View<float>(y),
                                               report_);
  }

  RoiLogits logits() const {
    RoiLogits all;
    all.of_stage[all.count++] = x(0);
    for (size_t k = 3; k < inputs.size(); ++k) all.of_stage[all.count++] = x(int(k));
    return all;
  }

  RcnnRule rule_;
  Background background_ = Background::last;
  ClassLoss class_loss_ = ClassLoss::softmax;
  bool class_specific_ = true, refine_ = false, training_ = false;
  Augmentation augmentation_;
  NmsSettings nms_;
  RoiTruths truths_;
  RoiTargets targets_;
  RoiLosses losses_;
  View<float> costs_;  // [N*R,1,1,1]: where y is a table
  Sampler sampler_ = Sampler::all;
  const char* idle_key_ = nullptr;  // one that is given and means nothing without OHEM
  SampleRule quota_{64, 0};
  SoftNmsRule suppression_;
  HardRois hard_;
  View<float> chosen_;
  View<int> chosen_counts_, selected_, selected_counts_;
  LossReport* report_ = nullptr;
};

}  // namespace

extern const LayerType rcnn = {"rcnn", nullptr, "classes and boxes of RoIs: the second stage", make<Rcnn>};

}  // namespace osprey
