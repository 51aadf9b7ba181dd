#include "layers/matching/assigner.h"

namespace osprey {
namespace {

constexpr const char* kLowQualityNames[] = {"none", "own_truth", "their_truth"};  // of LowQuality

}  // namespace

void Assigner::keys(Keys& k, MaxIouRule otherwise) {
  k.real("foreground", max_iou_.foreground, otherwise.foreground)
      .between(0, 1)
      .help("an anchor that overlaps a truth by at least this is matched with it");
  k.real("background", max_iou_.background, otherwise.background)
      .between(0, 1)
      .help("an anchor that overlaps all truths by less is background; those between are ignored");
  k.choice("low_quality", max_iou_.low_quality, otherwise.low_quality, kLowQualityNames)
      .help(
          "whether the best anchors of a truth are matched though they overlap it by less: with the truth "
          "they "
          "overlap most (torchvision, detectron2), or with that truth (mmdetection)");
  k.real("low_quality_least", max_iou_.least, otherwise.least)
      .between(0, 1)
      .help("their_truth: only if the best overlap is at least this");
}

void Assigner::plan(Plan& p, int rows, int truths) {
  p.require(
      max_iou_.background <= max_iou_.foreground, "background",
      fmt::format("background={} must not be above foreground={}", max_iou_.background, max_iou_.foreground));
  const int images = p.input().n;
  p.scratch(best_, {images, 1, 1, truths});
  p.scratch(overlap_, {images, 1, 1, rows});
}

void Assigner::match(Stream& s, View<const Box> anchors, TruthLists truths, View<int> match) const {
  on(s, cpu::max_iou_matching, cuda::max_iou_matching)(s, anchors, truths.lists(), BoxLists{}, max_iou_,
                                                       best_, match, overlap_);
}

void plan_truth_lists(Plan& p, TruthLists& lists, int capacity) {
  const int images = p.input().n;
  p.scratch(lists.boxes, {images, 1, 1, capacity});
  p.scratch(lists.labels, {images, 1, 1, capacity});
  p.scratch(lists.counts, {images, 1, 1, 1});
}

}  // namespace osprey
