#include "cuda/matching_ranking.h"

#include "cuda/matching.cuh"

namespace osprey::cuda {
namespace {

// One thread per anchor (x) and image (y).
__global__ void similarity_kernel(View<const Box> anchors, BoxLists truths, BoxLists regions,
                                  RankingRule rule, View<float> overlap) {
  const int a = global_thread(), image = int(blockIdx.y);
  if (a >= anchors.shape.c) return;
  const Box anchor = anchor_of(anchors, image, a);
  float largest = 0;
  for (int t = 0; t < truths.count(image); ++t)
    largest = max(largest, rule.similarity(anchor, truths.box(image, t)));
  overlap(image, 0, 0, a) = in_a_region(anchor, regions, image, rule.covered) ? -1 : largest;
}

// One block per truth there is room for (x) and image (y), whose threads share the anchors.
__global__ void choose_most_similar_kernel(View<const Box> anchors, BoxLists truths, RankingRule rule,
                                           View<const float> overlap, View<int> chosen) {
  const int t = int(blockIdx.x), image = int(blockIdx.y);
  const bool present = t < truths.count(image);  // the same for the whole block
  const Box truth = truths.box(image, present ? t : 0);
  choose_lowest(0, present ? anchors.shape.c : 0, row_of(chosen, image, 0, t), [&](int a) {
    if (overlap(image, 0, 0, a) < 0) return kNoKey;
    return rising_key(-rule.similarity(anchor_of(anchors, image, a), truth), a);
  });
}

// One thread per anchor (x) and image (y), which asks each truth whether it ranks among its k. Similarities
// computed again are equal to the last bit: this file is compiled without contraction to fused operations.
__global__ void ranking_kernel(View<const Box> anchors, BoxLists truths, RankingRule rule,
                               View<const int> chosen, View<const float> overlap, View<int> match) {
  const int a = global_thread(), image = int(blockIdx.y);
  if (a >= anchors.shape.c) return;
  const float largest = overlap(image, 0, 0, a);
  int truth = largest >= 0 && largest < rule.background ? kBackground : kIgnored;
  if (truths.count(image) == 0 && largest >= 0) truth = kBackground;
  const Box anchor = anchor_of(anchors, image, a);
  for (int t = 0; t < truths.count(image) && largest >= 0; ++t) {
    const int last = last_chosen(row_of(chosen, image, 0, t));
    const Box box = truths.box(image, t);
    if (rule.similarity(anchor, box) >= rule.similarity(anchor_of(anchors, image, last), box)) truth = t;
  }
  match(image, 0, 0, a) = truth;
}

}  // namespace

void ranking_matching(Stream& s, View<const Box> anchors, BoxLists truths, BoxLists regions, RankingRule rule,
                      View<int> chosen, View<int> match, View<float> overlap) {
  const int images = match.shape.n;
  const Grid over_anchors = one_thread_per_anchor(anchors.shape.c, images);
  const View<const float> largest = overlap;
  const View<const int> candidates = chosen;
  launch<similarity_kernel>(s, over_anchors, anchors, truths, regions, rule, overlap);
  launch<choose_most_similar_kernel>(s, one_block_per_truth(truths, images), anchors, truths, rule, largest,
                                     chosen);
  launch<ranking_kernel>(s, over_anchors, anchors, truths, rule, candidates, largest, match);
}

}  // namespace osprey::cuda
