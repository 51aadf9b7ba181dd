#include "cuda/matching_atss.h"

#include "cuda/matching.cuh"

namespace osprey::cuda {
namespace {

// One block per truth there is room for (x), image (y) and level (z), whose threads share the anchors.
__global__ void nearest_kernel(View<const Box> anchors, AnchorLevels levels, BoxLists truths,
                               View<int> candidates) {
  const int t = int(blockIdx.x), image = int(blockIdx.y), level = int(blockIdx.z);
  if (t >= truths.count(image)) return;  // the whole block
  const Box truth = truths.box(image, t);
  choose_lowest(levels.first[level], levels.first[level + 1], row_of(candidates, image, t, level),
                [&](int a) { return distance_key(anchor_of(anchors, image, a), truth, a); });
}

// One block per truth (x) and image (y), whose threads share the candidates of all levels.
__global__ void threshold_kernel(View<const Box> anchors, BoxLists truths, AtssRule rule,
                                 View<const int> candidates, View<float> threshold) {
  const int t = int(blockIdx.x), image = int(blockIdx.y);
  if (t >= truths.count(image)) return;  // the whole block
  const Box truth = truths.box(image, t);
  const int k = candidates.shape.c, all = candidates.shape.w * k;
  double count = 0, sum = 0, squares = 0;
  for (int i = int(threadIdx.x); i < all; i += int(blockDim.x)) {
    const int a = candidates(image, t, i / k, i % k);
    if (a < 0) continue;
    ++count;
    sum += rule.overlap(anchor_of(anchors, image, a), truth);
  }
  count = block_sum(count);
  const double mean = block_sum(sum) / count;
  for (int i = int(threadIdx.x); i < all; i += int(blockDim.x)) {
    const int a = candidates(image, t, i / k, i % k);
    if (a < 0) continue;
    const double apart = rule.overlap(anchor_of(anchors, image, a), truth) - mean;
    squares += apart * apart;
  }
  squares = block_sum(squares);
  if (threadIdx.x == 0)
    threshold(image, 0, 0, t) = float(mean + (count > 1 ? sqrt(squares / (count - 1)) : 0));
}

// One thread per anchor (x) and image (y), which asks each truth whether it takes it. It is among a level's
// candidates if it is no farther than the last of them: distances computed again are equal to the last bit,
// since this file is compiled without contraction to fused operations.
__global__ void atss_kernel(View<const Box> anchors, AnchorLevels levels, BoxLists truths, AtssRule rule,
                            View<const int> candidates, View<const float> threshold, View<int> match,
                            View<float> overlap) {
  const int a = global_thread(), image = int(blockIdx.y);
  if (a >= anchors.shape.c) return;
  const Box anchor = anchor_of(anchors, image, a);
  const int level = levels.level_of(a);
  int truth = kBackground;
  float largest = -1;
  for (int t = 0; t < truths.count(image); ++t) {
    const Box box = truths.box(image, t);
    if (!rule.is_inside(anchor, box)) continue;
    const int last = last_chosen(row_of(candidates, image, t, level));
    if (distance_key(anchor, box, a) > distance_key(anchor_of(anchors, image, last), box, last)) continue;
    const float o = rule.overlap(anchor, box);
    if (o < threshold(image, 0, 0, t) || o <= largest) continue;
    truth = t;
    largest = o;
  }
  match(image, 0, 0, a) = truth;
  overlap(image, 0, 0, a) = largest;
}

}  // namespace

void atss_matching(Stream& s, View<const Box> anchors, AnchorLevels levels, BoxLists truths, AtssRule rule,
                   View<int> candidates, View<float> threshold, View<int> match, View<float> overlap) {
  const int images = match.shape.n;
  const Grid over_truths = one_block_per_truth(truths, images);
  Grid over_levels = over_truths;
  over_levels.blocks.z = unsigned(levels.count);
  const View<const int> nearest = candidates;
  const View<const float> least = threshold;
  launch<nearest_kernel>(s, over_levels, anchors, levels, truths, candidates);
  launch<threshold_kernel>(s, over_truths, anchors, truths, rule, nearest, threshold);
  launch<atss_kernel>(s, one_thread_per_anchor(anchors.shape.c, images), anchors, levels, truths, rule,
                      nearest, least, match, overlap);
}

}  // namespace osprey::cuda
