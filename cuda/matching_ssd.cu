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

// The truth that the anchor overlaps most, the first of equal ones, if by the threshold.
__device__ int best_truth(Box anchor, const BoxLists& truths, int image, float threshold) {
  int best = kBackground;
  float largest = 0;
  for (int t = 0; t < truths.count(image); ++t) {
    const float overlap = iou(anchor, truths.box(image, t));
    if (overlap < threshold || (best != kBackground && overlap <= largest)) continue;
    best = t;
    largest = overlap;
  }
  return best;
}

// One thread per anchor (x) and image (y), which looks whether a truth has chosen it: truths that wrote to
// the anchors they chose would race for one that several want.
__global__ void ssd_matching_kernel(View<const Box> anchors, BoxLists truths, float threshold,
                                    View<const int> chosen, View<int> match) {
  const int a = global_thread(), image = int(blockIdx.y);
  if (a >= anchors.shape.c) return;
  int chosen_by = kBackground;
  for (int t = 0; t < truths.count(image); ++t)
    if (chosen(image, 0, 0, t) == a) chosen_by = t;
  match(image, 0, 0, a) = chosen_by != kBackground
                              ? chosen_by
                              : best_truth(anchor_of(anchors, image, a), truths, image, threshold);
}

// The first of the free anchors that a truth overlaps most, or -1. For the whole block.
__device__ int best_free_anchor(View<const Box> anchors, Box truth, int image, View<const int> match) {
  const uint64_t best = next_key(0, 0, anchors.shape.c, [&](int a) {
    if (match(image, 0, 0, a) != kBackground) return kNoKey;
    const float overlap = iou(anchor_of(anchors, image, a), truth);
    return overlap > kLeastPairOverlap ? rising_key(-overlap, a) : kNoKey;
  });
  return best == kNoKey ? -1 : index_of_key(best);
}

// One block per image: each round gives the best pair of what is left, and the truths that wanted its anchor
// look for another one. `chosen` holds what each truth has or wants, `match` what is given.
__global__ void match_pairs_kernel(View<const Box> anchors, BoxLists truths, View<int> chosen,
                                   View<int> match) {
  const int image = int(blockIdx.x), count = truths.count(image);
  for (int a = int(threadIdx.x); a < anchors.shape.c; a += int(blockDim.x))
    match(image, 0, 0, a) = kBackground;
  for (int t = int(threadIdx.x); t < truths.capacity(); t += int(blockDim.x)) chosen(image, 0, 0, t) = -1;
  __syncthreads();  // every anchor is free
  for (int t = 0; t < count; ++t) {
    const int best = best_free_anchor(anchors, truths.box(image, t), image, match);
    if (threadIdx.x == 0) chosen(image, 0, 0, t) = best;
  }
  __syncthreads();  // every truth has said what it wants
  for (int round = 0; round < count; ++round) {
    const auto wanted = [&](int t) {
      const int a = chosen(image, 0, 0, t);
      if (a < 0 || match(image, 0, 0, a) == t) return kNoKey;
      return rising_key(-iou(anchor_of(anchors, image, a), truths.box(image, t)), a);
    };
    const uint64_t best = next_key(0, 0, count, wanted);
    if (best == kNoKey) return;  // the whole block
    const int taken = index_of_key(best);
    // Truths of one overlap with it: the first.
    const int first =
        int(next_key(0, 0, count, [&](int t) { return wanted(t) == best ? uint64_t(t) + 1 : kNoKey; })) - 1;
    if (threadIdx.x == 0) match(image, 0, 0, taken) = first;
    __syncthreads();  // it is given
    for (int t = 0; t < count; ++t) {
      if (t == first || chosen(image, 0, 0, t) != taken) continue;  // for the whole block
      const int other = best_free_anchor(anchors, truths.box(image, t), image, match);
      if (threadIdx.x == 0) chosen(image, 0, 0, t) = other;
    }
    __syncthreads();  // every truth has said what it wants
  }
}

// One thread per anchor (x) and image (y).
__global__ void match_the_rest_kernel(View<const Box> anchors, BoxLists truths, float threshold,
                                      View<int> match) {
  const int a = global_thread(), image = int(blockIdx.y);
  if (a >= anchors.shape.c || match(image, 0, 0, a) != kBackground) return;
  match(image, 0, 0, a) = best_truth(anchor_of(anchors, image, a), truths, image, threshold);
}

}  // namespace

void ssd_matching(Stream& s, View<const Box> anchors, BoxLists truths, float threshold, View<int> chosen,
                  View<int> match, SsdMatching kind) {
  const int images = match.shape.n;
  if (kind == SsdMatching::pairs) {
    launch<match_pairs_kernel>(s, {dim3(unsigned(images)), dim3(256)}, anchors, truths, chosen, match);
    launch<match_the_rest_kernel>(s, one_thread_per_anchor(anchors.shape.c, images), anchors, truths,
                                  threshold, match);
    return;
  }
  const View<const int> by_truth = chosen;
  launch<choose_anchor_kernel>(s, one_block_per_truth(truths, images), anchors, truths, chosen);
  launch<ssd_matching_kernel>(s, one_thread_per_anchor(anchors.shape.c, images), anchors, truths, threshold,
                              by_truth, match);
}

}  // namespace osprey::cuda
