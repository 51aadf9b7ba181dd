#include "layers/matching/assigner.h"

namespace osprey {
namespace {

constexpr const char* kKindNames[] = {"max_iou", "ranking", "atss",
                                      "paa",     "simota",  "ota"};  // of AssignerKind
constexpr const char* kBoxKindNames[] = {"max_iou", "ranking"};      // those that read boxes alone
constexpr const char* kLowQualityNames[] = {"none", "own_truth", "their_truth"};  // of LowQuality
constexpr const char* kSimilarityNames[] = {"iou", "nwd", "dotd"};                // of Similarity
enum class SimOtaForm { paper, yolox };
constexpr const char* kSimOtaNames[] = {"paper", "yolox"};

}  // namespace

void Assigner::keys(Keys& k, MaxIouRule otherwise) {
  k.choice("assigner", kind_, AssignerKind::max_iou, kBoxKindNames)
      .help("what matches boxes with truths: the largest overlap, or for each truth the most similar boxes");
  max_iou_keys(k, otherwise);
  if (top_k_ == 0) top_k_ = 2;
}

void Assigner::dense_keys(Keys& k, MaxIouRule otherwise) {
  k.choice("assigner", kind_, AssignerKind::max_iou, kKindNames)
      .help(
          "what matches anchors with truths: the largest overlap; for each truth the most similar anchors; "
          "ATSS; PAA; SimOTA and OTA, for points (paa, simota and ota look at predictions)");
  max_iou_keys(k, otherwise);
  if (top_k_ == 0) top_k_ = kind_ == AssignerKind::ranking ? 2 : 9;
  SimOtaForm form = SimOtaForm::paper;
  k.choice("simota", form, SimOtaForm::paper, kSimOtaNames)
      .help("simota: candidates as in the paper and mmdetection, or as in today's YOLOX");
  if (form == SimOtaForm::yolox) simota_ = SimOtaRule::yolox();
  simota_.logits = true;
}

void Assigner::max_iou_keys(Keys& k, MaxIouRule otherwise) {
  k.real("foreground", max_iou_.foreground, otherwise.foreground)
      .between(0, 1)
      .help("max_iou: a box that overlaps a truth by at least this is matched with it");
  k.real("background", max_iou_.background, otherwise.background)
      .between(0, 1)
      .help(
          "max_iou, ranking: a box that overlaps all truths by less is background; those between are "
          "ignored");
  k.choice("low_quality", max_iou_.low_quality, otherwise.low_quality, kLowQualityNames)
      .help(
          "max_iou: whether the best boxes of a truth are matched though they overlap it by less: with the "
          "truth "
          "they overlap most (torchvision, detectron2), or with that truth (mmdetection)");
  k.real("low_quality_least", max_iou_.least, otherwise.least)
      .between(0, 1)
      .help("their_truth: only if the best overlap is at least this");
  k.choice("similarity", max_iou_.similarity.by, Similarity::iou, kSimilarityNames)
      .help("max_iou: how overlap is measured; nwd and dotd are for tiny objects");
  k.real("nwd_constant", max_iou_.similarity.constant, 12.8f)
      .more_than(0)
      .help("C of nwd and dotd: about the size of the objects in pixels of the network input");
  k.integer("top_k", top_k_, 0)
      .at_least(0)
      .shown_as("ranking 2, atss and paa 9")
      .help("ranking: boxes of a truth; atss, paa: candidates of a truth on each level");
  ranking_.background = max_iou_.background;
  ranking_.similarity.constant = max_iou_.similarity.constant;
}

void Assigner::plan(Plan& p, AnchorLevels levels, int truths) {
  p.require(
      max_iou_.background <= max_iou_.foreground || kind_ != AssignerKind::max_iou, "background",
      fmt::format("background={} must not be above foreground={}", max_iou_.background, max_iou_.foreground));
  levels_ = levels;
  const int images = p.input().n, rows = levels.first[levels.count];
  p.scratch(of_truths_, {images, 1, 1, truths});
  p.scratch(overlap_, {images, 1, 1, rows});
  if (kind_ == AssignerKind::ranking) p.scratch(candidates_, {images, 1, truths, top_k_});
  if (kind_ == AssignerKind::atss) p.scratch(candidates_, {images, truths, levels.count, top_k_});
  if (kind_ == AssignerKind::paa) {
    p.require(levels.count * top_k_ <= kMostPaaCandidates, "top_k",
              fmt::format("top_k={} on {} levels: paa has room for {} candidates of a truth", top_k_,
                          levels.count, kMostPaaCandidates));
    p.scratch(cost_, {images, 1, 1, rows});
    p.scratch(first_, {images, 1, 1, rows});
    p.scratch(candidates_, {images, truths, levels.count, top_k_});
    p.scratch(ends_, {images, 1, 1, truths});
  }
  if (kind_ == AssignerKind::ota) plan_transport(p, images, truths + 1, rows);
  if (kind_ == AssignerKind::simota) {
    p.scratch(cost_, {images, 1, truths, rows});
    p.scratch(candidates_, {images, 1, 1, truths});
  }
}

void Assigner::plan_transport(Plan& p, int images, int suppliers, int rows) {
  p.scratch(transport_.cost, {images, 1, suppliers, rows});
  p.scratch(transport_.supply, {images, 1, 1, suppliers});
  p.scratch(transport_.rows, {images, 1, 1, 1});
  p.scratch(transport_.u, {images, 1, 1, suppliers});
  p.scratch(transport_.v, {images, 1, 1, rows});
  p.scratch(transport_.largest, {images, 1, 1, suppliers});
}

// What costs little now is taken, among all that overlap a truth a little.
void Assigner::match_by_paa(Stream& s, const AssignerInputs& in, View<int> match) const {
  const BoxLists truths = in.truths.lists();
  on(s, cpu::max_iou_matching, cuda::max_iou_matching)(s, in.anchors, truths, BoxLists{},
                                                       paa_first_matching(), of_truths_, first_, overlap_);
  in.measure(first_, cost_);
  on(s, cpu::paa_matching, cuda::paa_matching)(s, first_, cost_, levels_, truths, mixture_, candidates_,
                                               ends_, match);
}

void Assigner::match(Stream& s, const AssignerInputs& in, View<int> match) const {
  const BoxLists truths = in.truths.lists();
  switch (kind_) {
    case AssignerKind::max_iou:
      return on(s, cpu::max_iou_matching, cuda::max_iou_matching)(s, in.anchors, truths, BoxLists{}, max_iou_,
                                                                  of_truths_, match, overlap_);
    case AssignerKind::ranking:
      return on(s, cpu::ranking_matching, cuda::ranking_matching)(s, in.anchors, truths, BoxLists{}, ranking_,
                                                                  candidates_, match, overlap_);
    case AssignerKind::atss:
      return on(s, cpu::atss_matching, cuda::atss_matching)(s, in.anchors, levels_, truths, atss_,
                                                            candidates_, of_truths_, match, overlap_);
    case AssignerKind::simota:
      return on(s, cpu::simota_matching, cuda::simota_matching)(s, in.predictions, truths, in.truths.labels,
                                                                simota_, cost_, candidates_, match, overlap_);
    case AssignerKind::paa:
      return match_by_paa(s, in, match);
    case AssignerKind::ota:
      return on(s, cpu::ota_matching, cuda::ota_matching)(s, in.predictions, truths, in.truths.labels, ota_,
                                                          transport_, match, overlap_);
  }
}

void plan_truth_lists(Plan& p, TruthLists& lists, int capacity) {
  const int images = p.input().n;
  p.scratch(lists.boxes, {images, 1, 1, capacity});
  p.scratch(lists.labels, {images, 1, 1, capacity});
  p.scratch(lists.counts, {images, 1, 1, 1});
}

}  // namespace osprey
