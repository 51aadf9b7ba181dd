// The CPU side of cuda/matching_ranking.h. Compiled without contraction to fused operations, so that a
// similarity computed twice is equal twice.
#include "cuda/matching_ranking.h"

#include <algorithm>

#include "core/parallel.h"
#include "layers/matching/choose_lowest.h"

namespace osprey::cpu {
namespace {

void match_dissimilar(View<const Box> anchors, const BoxLists& truths, const BoxLists& regions, int image,
                      const RankingRule& rule, View<int> match, View<float> overlap) {
  parallel_for(anchors.shape.c, 256, [&](int64_t first, int64_t last) {
    for (int a = int(first); a < int(last); ++a) {
      const Box anchor = anchor_of(anchors, image, a);
      float largest = 0;
      for (int t = 0; t < truths.count(image); ++t)
        largest = std::max(largest, rule.similarity(anchor, truths.box(image, t)));
      const bool ignored = in_a_region(anchor, regions, image, rule.covered);
      const bool background = truths.count(image) == 0 || largest < rule.background;
      overlap(image, 0, 0, a) = ignored ? -1 : largest;
      match(image, 0, 0, a) = !ignored && background ? kBackground : kIgnored;
    }
  });
}

// A truth takes its k anchors, and all that tie with the last of them.
void match_ranked(View<const Box> anchors, const BoxLists& truths, int image,
                  const SimilarityRule& similarity, View<int> chosen, View<int> match,
                  View<const float> overlap) {
  parallel_for(truths.count(image), 1, [&](int64_t first, int64_t last) {
    for (int t = int(first); t < int(last); ++t)
      choose_lowest(0, anchors.shape.c, row_of(chosen, image, 0, t), [&](int a) {
        if (overlap(image, 0, 0, a) < 0) return kNoKey;
        return rising_key(-similarity(anchor_of(anchors, image, a), truths.box(image, t)), a);
      });
  });
  for (int t = 0; t < truths.count(image); ++t) {
    const int least = last_chosen(row_of(chosen, image, 0, t));
    if (least < 0) return;  // all anchors lie in regions
    const Box truth = truths.box(image, t);
    const float enough = similarity(anchor_of(anchors, image, least), truth);
    for (int a = 0; a < anchors.shape.c; ++a)
      if (overlap(image, 0, 0, a) >= 0 && similarity(anchor_of(anchors, image, a), truth) >= enough)
        match(image, 0, 0, a) = t;
  }
}

}  // namespace

void ranking_matching(Stream&, View<const Box> anchors, BoxLists truths, BoxLists regions, RankingRule rule,
                      View<int> chosen, View<int> match, View<float> overlap) {
  std::fill(chosen.begin(), chosen.end(), -1);
  for (int image = 0; image < match.shape.n; ++image) {
    match_dissimilar(anchors, truths, regions, image, rule, match, overlap);
    match_ranked(anchors, truths, image, rule.similarity, chosen, match, overlap);
  }
}

}  // namespace osprey::cpu
