#include "cuda/matching_ssd.h"

#include "cuda/matching.cuh"

namespace osprey::cuda {
namespace {

// One block per truth there is room for (x) and image (y), whose threads share the anchors.
__global__ void choose_anchor_kernel(View<const Box> anchors, BoxLists truths, View<int> chosen) {
  const int t = int(blockIdx.x), image = int(blockIdx.y);
  const bool present = t < truths.count(image);  // the same for the whole block
  uint64_t best = kNoKey;
  if (present) {
    const Box truth = truths.box(image, t);
    best = next_key(0, 0, anchors.shape.c,
                    [&](int a) { return rising_key(-iou(anchor_of(anchors, image, a), truth), a); });
  }
  if (threadIdx.x == 0) chosen(image, 0, 0, t) = present ? index_of_key(best) : -1;
}

// One thread per anchor (x) and image (y), which looks whether a truth has chosen it: truths that wrote to
// the anchors they chose would race for one that several want.
__global__ void ssd_matching_kernel(View<const Box> anchors, BoxLists truths, float threshold,
                                    View<const int> chosen, View<int> match) {
  const int a = global_thread(), image = int(blockIdx.y);
  if (a >= anchors.shape.c) return;
  const Box anchor = anchor_of(anchors, image, a);
  int truth = kBackground, chosen_by = kBackground;
  float largest = 0;
  for (int t = 0; t < truths.count(image); ++t) {
    if (chosen(image, 0, 0, t) == a) chosen_by = t;
    const float overlap = iou(anchor, truths.box(image, t));
    if (overlap < threshold || (truth != kBackground && overlap <= largest)) continue;
    truth = t;
    largest = overlap;
  }
  match(image, 0, 0, a) = chosen_by != kBackground ? chosen_by : truth;
}

}  // namespace

void ssd_matching(Stream& s, View<const Box> anchors, BoxLists truths, float threshold, View<int> chosen,
                  View<int> match) {
  const int images = match.shape.n;
  const View<const int> by_truth = chosen;
  launch<choose_anchor_kernel>(s, one_block_per_truth(truths, images), anchors, truths, chosen);
  launch<ssd_matching_kernel>(s, one_thread_per_anchor(anchors.shape.c, images), anchors, truths, threshold,
                              by_truth, match);
}

}  // namespace osprey::cuda
