// [roi_sampler]: which RoIs the second stage learns from, and what each is to find. In training the truths
// join the RoIs, each is matched with the truth it overlaps most, and a few are chosen at random,
// [N,1,num,6], those that hold an object first. In detection all RoIs pass as they are.
#include "cuda/roi_sampler.h"

#include <algorithm>

#include "cuda/activation.h"
#include "cuda/matching_max_iou.h"
#include "cuda/sampler.h"
#include "layers/roi/roi_maps.h"
#include "layers/roi/roi_truths.h"

namespace osprey {
namespace cpu {

void gather_candidates(Stream&, View<const float> table, BoxLists truths, RoiCandidates to) {
  const int rois = table.shape.w, places = to.boxes.shape.c;
  for (int image = 0; image < table.shape.n; ++image) {
    int count = 0;
    const auto append = [&](Box box, float score) {
      if (count == places) return;
      to.boxes(image, 0, 0, count) = box;
      to.scores(image, 0, 0, count++) = score;
    };
    for (int r = 0; r < rois; ++r) {
      const RoiRow roi = roi_of_row(table, image * rois + r);
      if (roi.match != kNoRoi) append(roi.box, roi.score);
    }
    for (int t = 0; t < truths.count(image); ++t) append(truths.box(image, t), 1);
    to.counts[image] = count;
    while (count < places) append({}, 0);
  }
}

void ignore_candidates(Stream&, RoiCandidates candidates, View<const float> overlap, float least,
                       View<int> match) {
  const int places = match.shape.c;
  for (int i = 0; i < match.size(); ++i) {
    const bool there = i % places < candidates.counts[i / places];
    if (!there || (match[i] == kBackground && overlap[i] < least)) match[i] = kIgnored;
  }
}

void write_samples(Stream&, RoiCandidates candidates, View<const int> match, View<const int> rows,
                   View<float> table) {
  const int places = table.shape.w;
  for (int i = 0; i < table.shape.rows(); ++i) {
    const int image = i / places, k = i % places;
    const int from = rows ? rows[i] : k < candidates.counts[image] ? k : -1;
    RoiRow roi;
    if (from >= 0)
      roi = {candidates.boxes(image, 0, 0, from), candidates.scores(image, 0, 0, from),
             match(image, 0, 0, from)};
    set_roi(table, i, roi);
  }
}

}  // namespace cpu

namespace {

constexpr const char* kAssignerNames[] = {"max_iou", "nwd", "dotd"};  // of Similarity

class RoiSampler final : public Layer {
 public:
  void keys(Keys& k) override {
    k.integer("num", quota_.count, 512)
        .between(0, 65536)
        .help("RoIs of an image to learn from; 0: all, and only matched, as in later stages of a cascade");
    k.real("positive_fraction", quota_.positive_fraction, 0.25f)
        .between(0, 1)
        .help("of those, at most this part holds objects");
    k.flag("add_truths", add_truths_, true).help("1: the truths are RoIs, too; not with num=0");
    k.choice("assigner", matching_.similarity.by, Similarity::iou, kAssignerNames)
        .help("what overlap with truths is measured by");
    k.real("nwd_constant", matching_.similarity.constant, 12.8f)
        .more_than(0)
        .help("nwd, dotd: C, about the size of the objects in pixels of the network input");
    k.real("foreground", matching_.foreground, 0.5f)
        .between(0, 1)
        .help("RoIs that overlap a truth by at least this are to find it");
    k.real("background", matching_.background, 0.5f)
        .between(0, 1)
        .help("those that overlap all by less are background; those between are ignored");
    k.real("background_low", background_low_, 0)
        .between(0, 1)
        .help("background that overlaps all by less than this is ignored; 0.1 in Fast R-CNN");
    k.integer("max", most_truths_, 200).between(1, 65536).help("truths per image, at most");
  }

  void plan(Plan& p) override {
    p.require(p.inputs() == 1, "from", "from must name one layer, which makes RoIs");
    require_roi_table(p, 0);
    p.require(matching_.background <= matching_.foreground, "background",
              "background must not be more than foreground");
    const Shape table = p.input();
    training_ = p.training();
    if (!training_) {
      p.output(table, Type::f32);
      p.alias();
      return;
    }
    const bool all = quota_.count == 0;
    p.output({table.n, 1, all ? table.w : quota_.count, kRoiEntries}, Type::f32);
    truths_.plan(p, most_truths_);
    const Shape candidates = {table.n, 1, 1, table.w + (adds_truths() ? most_truths_ : 0)};
    p.scratch(candidates_.boxes, candidates);
    p.scratch(candidates_.scores, candidates);
    p.scratch(candidates_.counts, {table.n, 1, 1, 1});
    p.scratch(match_, candidates);
    p.scratch(overlap_, candidates);
    rows_ = {};
    if (all) return;
    p.step(step_);
    line_ = uint64_t(p.line());
    p.scratch(weights_, candidates);
    p.scratch(chosen_, {table.n, 1, 1, 2});
    p.scratch(rows_, {table.n, 1, 1, quota_.count});
    p.scratch(row_counts_, {table.n, 1, 1, 1});
  }

  void forward(Stream& s) override {
    if (!training_) {
      if (y.data != x().data)
        on(s, cpu::activation_forward, cuda::activation_forward)(s, x(), y, Activation::linear);
      return;
    }
    const BoxLists truths = truths_.list(s).lists();
    on(s, cpu::gather_candidates, cuda::gather_candidates)(s, x(), adds_truths() ? truths : BoxLists(),
                                                           candidates_);
    on(s, cpu::max_iou_matching, cuda::max_iou_matching)(s, candidates_.boxes, truths, BoxLists(), matching_,
                                                         View<float>(), match_, overlap_);
    on(s, cpu::ignore_candidates, cuda::ignore_candidates)(s, candidates_, overlap_, background_low_, match_);
    if (rows_) {
      on(s, cpu::sample_random, cuda::sample_random)(s, match_, quota_, step_, line_, weights_, chosen_);
      on(s, cpu::list_sampled, cuda::list_sampled)(s, match_, weights_, rows_, row_counts_);
    }
    on(s, cpu::write_samples, cuda::write_samples)(s, candidates_, match_, rows_, y);
  }
  void backward(Stream&) override {}  // RoIs are given to the second stage, not learnt from it

 private:
  bool adds_truths() const { return add_truths_ && quota_.count > 0; }

  SampleRule quota_{512, 0.25f};
  MaxIouRule matching_;
  bool add_truths_ = true, training_ = false;
  float background_low_ = 0;
  int most_truths_ = 200;
  RoiTruths truths_;
  const Step* step_ = nullptr;
  uint64_t line_ = 0;
  RoiCandidates candidates_;
  View<float> overlap_, weights_;
  View<int> match_, chosen_, rows_, row_counts_;
};

}  // namespace

extern const LayerType roi_sampler = {"roi_sampler", nullptr,
                                      "chooses the RoIs that a second stage learns from, in training",
                                      make<RoiSampler>};

}  // namespace osprey
