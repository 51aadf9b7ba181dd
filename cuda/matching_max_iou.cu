#include "cuda/matching_max_iou.h"

#include "cuda/matching.cuh"

namespace osprey::cuda {
namespace {

// One thread per anchor (blocks in x) and image (blocks in y).
__global__ void max_iou_kernel(View<const Box> anchors, BoxLists truths, BoxLists regions, MaxIouRule rule,
                               View<int> match, View<float> overlap) {
  const int a = global_thread(), image = int(blockIdx.y);
  if (a >= anchors.shape.c) return;
  const Box anchor = anchor_of(anchors, image, a);
  const bool ignored = in_a_region(anchor, regions, image, rule.covered);
  int truth = kBackground;
  float largest = 0;
  for (int t = 0; t < truths.count(image); ++t) {
    const float o = rule.overlap(anchor, truths.box(image, t));
    if (t > 0 && !(o > largest)) continue;
    truth = t;
    largest = o;
  }
  overlap(image, 0, 0, a) = ignored ? -1 : largest;
  match(image, 0, 0, a) = ignored                ? kIgnored
                          : truth == kBackground ? kBackground
                                                 : rule.judge(truth, largest);
}

// One block per truth (x) and image (y), whose threads share the anchors.
__global__ void best_of_truth_kernel(View<const Box> anchors, BoxLists truths, MaxIouRule rule,
                                     View<const float> overlap, View<float> best) {
  const int t = int(blockIdx.x), image = int(blockIdx.y);
  if (t >= truths.count(image)) return;  // the whole block
  const Box truth = truths.box(image, t);
  float largest = -1;
  for (int a = int(threadIdx.x); a < anchors.shape.c; a += int(blockDim.x))
    if (overlap(image, 0, 0, a) >= 0)
      largest = max(largest, rule.overlap(anchor_of(anchors, image, a), truth));
  largest = block_max(largest);
  if (threadIdx.x == 0) best(image, 0, 0, t) = largest;
}

// One thread per anchor (x) and image (y). That overlaps computed here equal those of the kernel before to
// the last bit is what finds the anchors: this file is compiled without contraction to fused operations.
__global__ void low_quality_kernel(View<const Box> anchors, BoxLists truths, MaxIouRule rule,
                                   View<const float> best, View<const float> overlap, View<int> match) {
  const int a = global_thread(), image = int(blockIdx.y);
  if (a >= anchors.shape.c || overlap(image, 0, 0, a) < 0) return;
  const Box anchor = anchor_of(anchors, image, a);
  int own = kBackground, their = kBackground;
  for (int t = 0; t < truths.count(image); ++t) {
    const float o = rule.overlap(anchor, truths.box(image, t)), most = best(image, 0, 0, t);
    if (own == kBackground && o == overlap(image, 0, 0, a)) own = t;
    if (o == most && (rule.low_quality == LowQuality::own_truth || most >= rule.least)) their = t;
  }
  if (their == kBackground) return;
  match(image, 0, 0, a) = rule.low_quality == LowQuality::own_truth ? own : their;
}

}  // namespace

void max_iou_matching(Stream& s, View<const Box> anchors, BoxLists truths, BoxLists regions, MaxIouRule rule,
                      View<float> best, View<int> match, View<float> overlap) {
  const int images = match.shape.n;
  const Grid over_anchors = one_thread_per_anchor(anchors.shape.c, images);
  launch<max_iou_kernel>(s, over_anchors, anchors, truths, regions, rule, match, overlap);
  if (rule.low_quality == LowQuality::none) return;
  const View<const float> largest = overlap, most = best;
  launch<best_of_truth_kernel>(s, one_block_per_truth(truths, images), anchors, truths, rule, largest, best);
  launch<low_quality_kernel>(s, over_anchors, anchors, truths, rule, most, largest, match);
}

}  // namespace osprey::cuda
