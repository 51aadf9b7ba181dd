// [rpn]: where objects may be: of each anchor of every level whether it is on one, and deltas that fit it.
//
//   from = objectness maps of all levels, then delta maps of all levels
//
// "Faster R-CNN", Ren et al., NeurIPS 2015, section 3.1; over levels "Feature Pyramid Networks", Lin et al.,
// CVPR 2017, section 4.1. Its output is a table of RoIs (core/roi_table.h), through which no gradient flows
// back: the network learns from the loss over the anchors that are sampled.
#include "cuda/proposals.h"
#include "cuda/rpn_loss.h"
#include "cuda/sampler.h"
#include "layers/heads/anchor_keys.h"
#include "layers/losses/box_loss_keys.h"
#include "layers/losses/feedback_keys.h"
#include "layers/matching/assigner.h"

namespace osprey {
namespace {

constexpr const char* kNmsNames[] = {"hard", "nwd"};  // of ProposalOverlap

class Rpn final : public Layer {
 public:
  void keys(Keys& k) override {
    levels_.keys(k);
    anchor_keys_.keys(k, 8, 1, "0.5,1,2");
    MaxIouRule matching;
    matching.low_quality = LowQuality::own_truth;
    assigner_.keys(k, matching);
    k.integer("num", sampling_.count, 256)
        .between(1, kMostChosen)
        .help("how many anchors of an image the loss counts");
    k.real("positive_fraction", sampling_.positive_fraction, .5f)
        .between(0, 1)
        .help("the part of these that may be matched ones; background takes what they leave");
    loss_keys(k);
    proposal_keys(k);
    k.integer("max", most_truths_, 200).between(1, 65536).help("truths per image, at most");
  }

  void plan(Plan& p) override {
    levels_.plan(p, 2, "the objectness maps of all levels, then the delta maps of all levels");
    const std::vector<Box> anchors = anchor_keys_.place(p, levels_);
    const int a = anchor_keys_.per_cell(), all = int(anchors.size());
    levels_.require_channels(p, 0, a, fmt::format("{} anchors", a));
    levels_.require_channels(p, 1, 4 * a, fmt::format("{} anchors x 4", a));
    p.constant(anchors_, anchors);
    plan_proposals(p, a);
    training_ = p.training();
    if (!training_) return;
    const int images = p.input().n;
    p.truths(truths_, most_truths_);
    p.step(step_);
    p.loss(report_);
    plan_feedback(p, loss_.feedback);
    line_ = p.line();
    plan_truth_lists(p, lists_, most_truths_);
    assigner_.plan(p, levels_.anchor_levels(a), most_truths_);
    p.scratch(match_, {images, 1, 1, all});
    p.scratch(weights_, {images, 1, 1, all});
    p.scratch(kinds_, {images, 1, 1, 2});
    p.keep(sampled_, {images, 1, 1, sampling_.count});
    p.keep(sampled_counts_, {images, 1, 1, 1});
    p.keep(slopes_, {images, 1, sampling_.count, kRpnSlopes});
  }

  void forward(Stream& s) override {
    const RpnMaps maps = maps_of([this](int k) { return x(k); });
    on(s, cpu::propose, cuda::propose)(s, maps, anchors_, proposals_, BoxClip{image_sizes_}, work_, y);
    if (!training_) return;
    on(s, cpu::list_truths, cuda::list_truths)(s, truths_, float(network_.w), float(network_.h), kAnyClass,
                                               lists_);
    assigner_.match(s, {anchors_, lists_, {}}, match_);
    on(s, cpu::sample_random, cuda::sample_random)(s, match_, sampling_, step_, uint64_t(line_), weights_,
                                                   kinds_);
    on(s, cpu::list_sampled, cuda::list_sampled)(s, match_, weights_, sampled_, sampled_counts_);
    const RpnTargets targets = {anchors_, match_, lists_.lists(), sampled_, sampled_counts_};
    on(s, cpu::rpn_loss, cuda::rpn_loss)(s, maps, targets, loss_, slopes_, report_);
  }

  void backward(Stream& s) override {
    const RpnMaps gradients = maps_of([this](int k) { return dx(k); });
    on(s, cpu::rpn_loss_backward, cuda::rpn_loss_backward)(s, gradients, sampled_, sampled_counts_, slopes_);
  }

  bool has_loss() const override { return true; }

 private:
  static constexpr int kAnyClass = 1 << 30;

  void loss_keys(Keys& k) {
    box_loss_keys(k, loss_.box_loss, "1/9");
    k.real("box_weight", loss_.box_weight, 1)
        .at_least(0)
        .help("factor of the box loss, which is divided by all anchors that count, as that of objectness");
    feedback_keys(k, loss_.feedback);
  }

  void proposal_keys(Keys& k) {
    k.integer("pre_nms", pre_nms_, 2000)
        .between(1, kMostChosen)
        .help("how many anchors of each level are looked at in training, those of the highest objectness");
    k.integer("pre_nms_test", pre_nms_test_, 1000).between(1, kMostChosen).help("the same in inference");
    k.integer("post_nms", post_nms_, 2000)
        .between(1, kMostChosen)
        .help("how many proposals of an image there are at most in training, of all levels together");
    k.integer("post_nms_test", post_nms_test_, 1000).between(1, kMostChosen).help("the same in inference");
    k.choice("nms", proposals_.overlap, ProposalOverlap::iou, kNmsNames)
        .help("by which overlap a proposal silences others of its level: hard by IoU, or nwd");
    k.real("nms_threshold", proposals_.nms_threshold, .7f)
        .between(0, 1)
        .help("proposals that overlap a better one by more are silenced");
    k.real("min_size", proposals_.min_size, 1e-3f)
        .more_than(0)
        .help("pixels: proposals less wide or less high, within the image, are dropped");
    k.real("min_score", proposals_.min_score, 0)
        .between(0, 1)
        .help("proposals of less objectness are dropped");
    proposals_.constant = assigner_.nwd_constant();
    loss_.box_loss.of_boxes.constant = assigner_.nwd_constant();
  }

  void plan_proposals(Plan& p, int anchors_per_cell) {
    const int images = p.input().n, levels = levels_.levels();
    network_ = p.options().network_input;
    std::vector<float> sizes;
    for (int n = 0; n < images; ++n) sizes.insert(sizes.end(), {float(network_.w), float(network_.h)});
    p.constant(image_sizes_, sizes);
    const int rows = p.training() ? post_nms_ : post_nms_test_;
    const int looked_at = std::min(p.training() ? pre_nms_ : pre_nms_test_,
                                   levels_.cells(0) * anchors_per_cell);  // no other level has more
    p.output({images, 1, rows, kRoiEntries}, Type::f32);
    p.scratch(work_.chosen, {images, 1, levels, looked_at});
    p.scratch(work_.counts, {images, 1, 1, levels});
    p.scratch(work_.boxes, {images, 1, levels, looked_at});
    p.scratch(work_.scores, {images, 1, levels, looked_at});
    p.scratch(work_.best, {images, 1, 1, rows});
    p.scratch(work_.best_counts, {images, 1, 1, 1});
  }

  // The maps of all levels, or their gradients, of which some may be missing but have their shapes.
  template <class TensorOf>
  RpnMaps maps_of(TensorOf tensor) const {
    RpnMaps maps;
    maps.count = levels_.levels();
    for (int l = 0; l < maps.count; ++l) {
      const int deltas = maps.count + l;
      maps.objectness[l] = {static_cast<float*>(tensor(l).data), x(l).shape};
      maps.deltas[l] = {static_cast<float*>(tensor(deltas).data), x(deltas).shape};
    }
    return maps;
  }

  LevelInputs levels_;
  AnchorKeys anchor_keys_;
  Assigner assigner_;
  SampleRule sampling_;
  RpnLossRule loss_;
  ProposalRule proposals_;
  int pre_nms_ = 2000, pre_nms_test_ = 1000, post_nms_ = 2000, post_nms_test_ = 1000, most_truths_ = 200;

  Shape network_;
  bool training_ = false;
  int line_ = 0;
  View<const Box> anchors_;        // [1,1,1,A], of all levels
  View<const float> image_sizes_;  // width and height of each image
  ProposalWork work_;
  Truths truths_;
  TruthLists lists_;
  const Step* step_ = nullptr;
  LossReport* report_ = nullptr;
  View<int> match_;                     // [N,1,1,A]
  View<float> weights_;                 // [N,1,1,A]: 1 where sampled
  View<int> kinds_;                     // [N,1,1,2]: how many positives and negatives
  View<int> sampled_, sampled_counts_;  // as RpnTargets has them
  View<float> slopes_;                  // [N,1,num,kRpnSlopes]
};

}  // namespace

extern const LayerType rpn = {"rpn", nullptr, "region proposals from the anchors of several levels",
                              make<Rpn>};

}  // namespace osprey
