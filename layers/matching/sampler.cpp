// The CPU side of cuda/sampler.h.
#include "cuda/sampler.h"

#include <algorithm>
#include <vector>

#include "core/parallel.h"

namespace osprey::cpu {
namespace {

// Gives a weight of 1 to the rows of the n smallest keys.
void choose(std::vector<uint64_t>& keys, int n, int image, View<float> weights) {
  std::nth_element(keys.begin(), keys.begin() + n, keys.end());
  for (int i = 0; i < n; ++i) weights(image, 0, 0, index_of_key(keys[size_t(i)])) = 1;
}

template <class Keys, class Rule>
void sample_image(View<const int> match, int image, const Keys& keys, const Rule& rule, View<float> weights,
                  View<int> counts) {
  const int rows = match.shape.c;
  std::vector<uint64_t> positives, negatives;
  for (int row = 0; row < rows; ++row) {
    weights(image, 0, 0, row) = 0;
    const int m = match(image, 0, 0, row);
    const uint64_t key = m >= 0 || m == kBackground ? keys.key(match.shape, image, row) : kNoKey;
    if (key != kNoKey) (m >= 0 ? positives : negatives).push_back(key);
  }
  SampleCounts chosen = rule.quota({int(positives.size()), int(negatives.size())});
  if (rule.apart) {
    choose(positives, chosen.positives, image, weights);
    choose(negatives, chosen.negatives, image, weights);
  } else {
    std::vector<uint64_t> both = positives;
    both.insert(both.end(), negatives.begin(), negatives.end());
    const int n = std::min(rule.count, int(both.size()));
    choose(both, n, image, weights);
    chosen.positives = 0;
    for (int row = 0; row < rows; ++row)
      chosen.positives += weights(image, 0, 0, row) > 0 && match(image, 0, 0, row) >= 0;
    chosen.negatives = n - chosen.positives;
  }
  counts(image, 0, 0, 0) = chosen.positives;
  counts(image, 0, 0, 1) = chosen.negatives;
}

template <class Keys, class Rule>
void sample(View<const int> match, const Keys& keys, const Rule& rule, View<float> weights,
            View<int> counts) {
  parallel_for(match.shape.n, 1, [&](int64_t first, int64_t last) {
    for (int image = int(first); image < int(last); ++image)
      sample_image(match, image, keys, rule, weights, counts);
  });
}

}  // namespace

void sample_random(Stream&, View<const int> match, SampleRule rule, const Step* step, uint64_t layer,
                   View<float> weights, View<int> counts) {
  sample(match, RandomKeys{step, layer}, rule, weights, counts);
}

void sample_ohem(Stream&, View<const int> match, View<const float> losses, SampleRule rule,
                 View<float> weights, View<int> counts) {
  sample(match, LossKeys{losses}, rule, weights, counts);
}

void sample_hard(Stream&, View<const int> match, View<const float> losses, HardNegativeRule rule,
                 View<float> weights, View<int> counts) {
  sample(match, LossKeys{losses}, rule, weights, counts);
}

void list_sampled(Stream&, View<const int> match, View<const float> weights, View<int> rows,
                  View<int> counts) {
  for (int image = 0; image < match.shape.n; ++image) {
    int listed = 0;
    for (const bool positives : {true, false})
      for (int row = 0; row < match.shape.c && listed < rows.shape.c; ++row)
        if (weights(image, 0, 0, row) > 0 && (match(image, 0, 0, row) >= 0) == positives)
          rows(image, 0, 0, listed++) = row;
    counts(image, 0, 0, 0) = listed;
    for (int i = listed; i < rows.shape.c; ++i) rows(image, 0, 0, i) = -1;
  }
}

}  // namespace osprey::cpu
