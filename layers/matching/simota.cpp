// The CPU side of cuda/matching_simota.h.
#include "cuda/matching_simota.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include "core/parallel.h"

namespace osprey::cpu {
namespace {

constexpr int kPointsPerTask = 64;

void cost_of_point(const PointPredictions& predictions, const BoxLists& truths, View<const int> labels,
                   const SimOtaRule& rule, int image, int p, View<float> cost) {
  const int count = truths.count(image), row = predictions.row(image, p);
  const Box cell = predictions.cell(image, p);
  std::vector<bool> inside;
  bool candidate = false;
  for (int t = 0; t < count; ++t) {
    const SimOtaRule::Place place = rule.place(cell, truths.box(image, t));
    inside.push_back(place.inside);
    candidate = candidate || place.candidate;
  }
  if (!candidate) {
    for (int t = 0; t < count; ++t) cost(image, 0, t, p) = INFINITY;
    return;
  }
  std::vector<float> probabilities;
  float none = 0;
  for (int c = 0; c < predictions.classes.shape.c; ++c) {
    probabilities.push_back(rule.probability(predictions, row, c));
    none += rule.cost_of_none(probabilities.back());
  }
  for (int t = 0; t < count; ++t)
    cost(image, 0, t, p) = rule.cost(none, probabilities[size_t(labels(image, 0, 0, t))],
                                     predictions.overlap(image, p, truths.box(image, t)), inside[size_t(t)]);
}

// The dearest of the points that a truth takes, -1 if it has no candidates.
int dearest_taken(const PointPredictions& predictions, Box truth, const SimOtaRule& rule, int image, int t,
                  View<const float> cost) {
  std::vector<float> overlaps;
  std::vector<uint64_t> keys;
  for (int p = 0; p < predictions.points(); ++p) {
    if (cost(image, 0, t, p) == INFINITY) continue;
    overlaps.push_back(predictions.overlap(image, p, truth));
    keys.push_back(rising_key(cost(image, 0, t, p), p));
  }
  if (keys.empty()) return -1;
  std::sort(overlaps.begin(), overlaps.end(), std::greater<>());
  float sum = 0;
  for (size_t i = 0; i < overlaps.size() && i < size_t(rule.best_overlaps); ++i) sum += overlaps[i];
  const int k = std::min(std::max(int(sum), 1), int(keys.size()));
  std::nth_element(keys.begin(), keys.begin() + (k - 1), keys.end());
  return index_of_key(keys[size_t(k - 1)]);
}

int truth_of_point(const BoxLists& truths, int image, int p, View<const float> cost, View<const int> last) {
  std::vector<int> takers;
  for (int t = 0; t < truths.count(image); ++t) {
    const int dearest = last(image, 0, 0, t);
    if (dearest < 0) continue;
    if (rising_key(cost(image, 0, t, p), p) <= rising_key(cost(image, 0, t, dearest), dearest))
      takers.push_back(t);
  }
  if (takers.empty()) return kBackground;
  if (takers.size() == 1) return takers[0];
  int cheapest = 0;
  for (int t = 1; t < truths.count(image); ++t)
    if (rising_key(cost(image, 0, t, p), t) < rising_key(cost(image, 0, cheapest, p), cheapest)) cheapest = t;
  return cheapest;
}

}  // namespace

void simota_matching(Stream&, PointPredictions predictions, BoxLists truths, View<const int> labels,
                     SimOtaRule rule, View<float> cost, View<int> last, View<int> match,
                     View<float> overlap) {
  for (int image = 0; image < match.shape.n; ++image) {
    parallel_for(predictions.points(), kPointsPerTask, [&](int64_t first, int64_t end) {
      for (int p = int(first); p < int(end); ++p)
        cost_of_point(predictions, truths, labels, rule, image, p, cost);
    });
    parallel_for(truths.capacity(), 1, [&](int64_t first, int64_t end) {
      for (int t = int(first); t < int(end); ++t)
        last(image, 0, 0, t) = t < truths.count(image)
                                   ? dearest_taken(predictions, truths.box(image, t), rule, image, t, cost)
                                   : -1;
    });
    parallel_for(predictions.points(), kPointsPerTask, [&](int64_t first, int64_t end) {
      for (int p = int(first); p < int(end); ++p) {
        const int truth = truth_of_point(truths, image, p, cost, last);
        match(image, 0, 0, p) = truth;
        overlap(image, 0, 0, p) =
            truth == kBackground ? 0 : predictions.overlap(image, p, truths.box(image, truth));
      }
    });
  }
}

}  // namespace osprey::cpu
