// The CPU side of cuda/matching_max_iou.h. Compiled without contraction to fused operations, so that an
// overlap computed twice is equal twice.
#include <algorithm>

#include "core/parallel.h"
#include "cuda/matching_max_iou.h"

namespace osprey::cpu {
namespace {

constexpr int kAnchorsPerTask = 256;

struct BestTruth {
  int truth = kBackground;
  float overlap = 0;
};

BestTruth best_truth(Box anchor, const BoxLists& truths, int image, const MaxIouRule& rule) {
  BestTruth best;
  for (int t = 0; t < truths.count(image); ++t) {
    const float overlap = rule.overlap(anchor, truths.box(image, t));
    if (t == 0 || overlap > best.overlap) best = {t, overlap};
  }
  return best;
}

void match_best_truths(View<const Box> anchors, const BoxLists& truths, const BoxLists& regions, int image,
                       const MaxIouRule& rule, View<int> match, View<float> overlap) {
  parallel_for(anchors.shape.c, kAnchorsPerTask, [&](int64_t first, int64_t last) {
    for (int a = int(first); a < int(last); ++a) {
      const Box anchor = anchor_of(anchors, image, a);
      const bool ignored = in_a_region(anchor, regions, image, rule.covered);
      const BestTruth best = best_truth(anchor, truths, image, rule);
      overlap(image, 0, 0, a) = ignored ? -1 : best.overlap;
      match(image, 0, 0, a) = ignored                     ? kIgnored
                              : best.truth == kBackground ? kBackground
                                                          : rule.judge(best.truth, best.overlap);
    }
  });
}

void match_low_quality(View<const Box> anchors, const BoxLists& truths, int image, const MaxIouRule& rule,
                       View<float> best, View<int> match, View<const float> overlap) {
  const bool own = rule.low_quality == LowQuality::own_truth;
  parallel_for(truths.count(image), 1, [&](int64_t first, int64_t last) {
    for (int t = int(first); t < int(last); ++t) {
      float most = -1;
      for (int a = 0; a < anchors.shape.c; ++a)
        if (overlap(image, 0, 0, a) > most)  // else the anchor overlaps no truth by more
          most = std::max(most, rule.overlap(anchor_of(anchors, image, a), truths.box(image, t)));
      best(image, 0, 0, t) = most;
    }
  });
  const float* const all = best.begin() + int64_t(image) * best.shape.c;
  const float least = truths.count(image) ? *std::min_element(all, all + truths.count(image)) : 0;
  parallel_for(anchors.shape.c, kAnchorsPerTask, [&](int64_t first, int64_t last) {
    for (int a = int(first); a < int(last); ++a) {
      if (overlap(image, 0, 0, a) < larger(least, 0)) continue;  // in a region, or the best for no truth
      const Box anchor = anchor_of(anchors, image, a);
      for (int t = 0; t < truths.count(image); ++t) {
        const float most = best(image, 0, 0, t);
        if (rule.overlap(anchor, truths.box(image, t)) != most || (!own && most < rule.least)) continue;
        match(image, 0, 0, a) = own ? best_truth(anchor, truths, image, rule).truth : t;
      }
    }
  });
}

}  // namespace

void max_iou_matching(Stream&, View<const Box> anchors, BoxLists truths, BoxLists regions, MaxIouRule rule,
                      View<float> best, View<int> match, View<float> overlap) {
  for (int image = 0; image < match.shape.n; ++image) {
    match_best_truths(anchors, truths, regions, image, rule, match, overlap);
    if (rule.low_quality != LowQuality::none)
      match_low_quality(anchors, truths, image, rule, best, match, overlap);
  }
}

}  // namespace osprey::cpu
