// The CPU side of cuda/matching_paa.h.
#include "cuda/matching_paa.h"

#include <algorithm>

#include "core/parallel.h"
#include "layers/matching/choose_lowest.h"

namespace osprey::cpu {
namespace {

// The candidates of one truth, of all levels, and how they are split.
struct Split {
  int anchors[kMostPaaCandidates];
  float scores[kMostPaaCandidates];
  Expectation expected[kMostPaaCandidates];
  int count = 0;

  Split(View<const int> candidates, View<const float> score, int image) {
    for (int a : candidates) {
      if (a < 0) continue;
      anchors[count] = a;
      scores[count++] = score(image, 0, 0, a);
    }
  }
  int end(const MixtureRule& rule) {
    if (count < 2) return count == 0 ? -1 : anchors[0];
    const auto [lowest, highest] = std::minmax_element(scores, scores + count);
    for (MixtureFit fit(*lowest, *highest);; fit.improve(scores, expected, count, rule)) {
      for (int i = 0; i < count; ++i) expected[i] = expectation(fit.mixture, scores[i]);
      if (fit.done(rule)) break;
    }
    return anchors[end_of_lower_group(scores, expected, count)];
  }
};

}  // namespace

void paa_matching(Stream&, View<const int> first, View<const float> score, AnchorLevels levels,
                  BoxLists truths, MixtureRule rule, View<int> candidates, View<int> ends, View<int> match) {
  std::fill(match.begin(), match.end(), kBackground);
  for (int image = 0; image < match.shape.n; ++image) {
    const auto key = [&](int a) { return rising_key(score(image, 0, 0, a), a); };
    parallel_for(truths.count(image), 1, [&](int64_t begin, int64_t beyond) {
      for (int t = int(begin); t < int(beyond); ++t) {
        const auto key_of_own = [&](int a) { return first(image, 0, 0, a) == t ? key(a) : kNoKey; };
        for (int level = 0; level < levels.count; ++level)
          choose_lowest(levels.first[level], levels.first[level + 1], row_of(candidates, image, t, level),
                        key_of_own);
        const Shape all_levels = {1, 1, candidates.shape.w, candidates.shape.c};
        const View<const int> own(&candidates(image, t, 0, 0), all_levels);
        const int end = ends(image, 0, 0, t) = Split(own, score, image).end(rule);
        for (int a : own)
          if (a >= 0 && key(a) <= key(end)) match(image, 0, 0, a) = t;  // an anchor is of one truth only
      }
    });
  }
}

}  // namespace osprey::cpu
