// The CPU side of cuda/matching_ssd.h.
#include "cuda/matching_ssd.h"

#include <algorithm>
#include <tuple>
#include <vector>

#include "core/parallel.h"

namespace osprey::cpu {
namespace {

// The truth that the anchor overlaps most, the first of equal ones, if by the threshold.
int best_truth(Box anchor, const BoxLists& truths, int image, float threshold) {
  int best = kBackground;
  float largest = 0;
  for (int t = 0; t < truths.count(image); ++t) {
    const float overlap = iou(anchor, truths.box(image, t));
    if (overlap >= threshold && (best == kBackground || overlap > largest)) best = t, largest = overlap;
  }
  return best;
}

int best_anchor(View<const Box> anchors, int image, Box truth) {
  int best = 0;
  for (int a = 1; a < anchors.shape.c; ++a)
    if (iou(anchor_of(anchors, image, a), truth) > iou(anchor_of(anchors, image, best), truth)) best = a;
  return best;
}

// Gives anchors to the truths of an image in the order of their overlaps, the largest first.
void match_pairs(View<const Box> anchors, const BoxLists& truths, int image, View<int> chosen,
                 View<int> match) {
  struct Pair {
    float overlap;
    int anchor, truth;
  };
  std::vector<Pair> pairs;
  for (int a = 0; a < anchors.shape.c; ++a)
    for (int t = 0; t < truths.count(image); ++t) {
      const float overlap = iou(anchor_of(anchors, image, a), truths.box(image, t));
      if (overlap > kLeastPairOverlap) pairs.push_back({overlap, a, t});
    }
  std::sort(pairs.begin(), pairs.end(), [](const Pair& a, const Pair& b) {
    return std::make_tuple(-a.overlap, a.anchor, a.truth) < std::make_tuple(-b.overlap, b.anchor, b.truth);
  });
  std::vector<bool> taken(size_t(anchors.shape.c), false);
  for (const Pair& pair : pairs) {
    if (taken[pair.anchor] || chosen(image, 0, 0, pair.truth) >= 0) continue;
    taken[pair.anchor] = true;
    chosen(image, 0, 0, pair.truth) = pair.anchor;
    match(image, 0, 0, pair.anchor) = pair.truth;
  }
}

void match_each(View<const Box> anchors, const BoxLists& truths, int image, View<int> chosen,
                View<int> match) {
  for (int t = 0; t < truths.count(image); ++t) {
    const int best = best_anchor(anchors, image, truths.box(image, t));
    chosen(image, 0, 0, t) = best;
    match(image, 0, 0, best) = t;
  }
}

}  // namespace

void ssd_matching(Stream&, View<const Box> anchors, BoxLists truths, float threshold, View<int> chosen,
                  View<int> match, SsdMatching kind) {
  for (int image = 0; image < match.shape.n; ++image) {
    parallel_for(anchors.shape.c, 256, [&](int64_t first, int64_t last) {
      for (int a = int(first); a < int(last); ++a)
        match(image, 0, 0, a) = best_truth(anchor_of(anchors, image, a), truths, image, threshold);
    });
    for (int t = 0; t < truths.capacity(); ++t) chosen(image, 0, 0, t) = -1;
    if (kind == SsdMatching::pairs)
      match_pairs(anchors, truths, image, chosen, match);
    else
      match_each(anchors, truths, image, chosen, match);
  }
}

}  // namespace osprey::cpu
