// The CPU side of cuda/matching_atss.h. Compiled without contraction to fused operations, so that a distance
// computed twice is equal twice.
#include "cuda/matching_atss.h"

#include <algorithm>
#include <cmath>

#include "core/parallel.h"
#include "layers/matching/choose_lowest.h"

namespace osprey::cpu {
namespace {

// Mean plus standard deviation of the truth's overlaps with its candidates, of all levels.
float threshold_of(Box truth, View<const Box> anchors, int image, const AtssRule& rule,
                   View<const int> candidates) {
  int count = 0;
  double sum = 0, squares = 0;
  for (int a : candidates) {
    if (a < 0) continue;
    ++count;
    sum += rule.overlap(anchor_of(anchors, image, a), truth);
  }
  const double mean = sum / count;
  for (int a : candidates) {
    if (a < 0) continue;
    const double apart = rule.overlap(anchor_of(anchors, image, a), truth) - mean;
    squares += apart * apart;
  }
  return float(mean + (count > 1 ? std::sqrt(squares / (count - 1)) : 0));
}

// The candidates of one truth, level by level.
void choose_nearest(Box truth, View<const Box> anchors, const AnchorLevels& levels, int image, int t,
                    View<int> candidates) {
  for (int level = 0; level < levels.count; ++level)
    choose_lowest(levels.first[level], levels.first[level + 1], row_of(candidates, image, t, level),
                  [&](int a) { return distance_key(anchor_of(anchors, image, a), truth, a); });
}

}  // namespace

void atss_matching(Stream&, View<const Box> anchors, AnchorLevels levels, BoxLists truths, AtssRule rule,
                   View<int> candidates, View<float> threshold, View<int> match, View<float> overlap) {
  const Shape all_levels = {1, 1, 1, candidates.shape.w * candidates.shape.c};
  const auto all_of = [&](int image, int t) {
    return View<const int>(&candidates(image, t, 0, 0), all_levels);
  };
  std::fill(match.begin(), match.end(), kBackground);
  std::fill(overlap.begin(), overlap.end(), -1.f);
  for (int image = 0; image < match.shape.n; ++image) {
    parallel_for(truths.count(image), 1, [&](int64_t first, int64_t last) {
      for (int t = int(first); t < int(last); ++t) {
        const Box truth = truths.box(image, t);
        choose_nearest(truth, anchors, levels, image, t, candidates);
        threshold(image, 0, 0, t) = threshold_of(truth, anchors, image, rule, all_of(image, t));
      }
    });
    for (int t = 0; t < truths.count(image); ++t)
      for (int a : all_of(image, t)) {
        if (a < 0) continue;
        const Box anchor = anchor_of(anchors, image, a), truth = truths.box(image, t);
        const float o = rule.overlap(anchor, truth);
        if (!rule.is_inside(anchor, truth) || o < threshold(image, 0, 0, t)) continue;
        if (o > overlap(image, 0, 0, a)) match(image, 0, 0, a) = t, overlap(image, 0, 0, a) = o;
      }
  }
}

}  // namespace osprey::cpu
