#include "cuda/matching_simota.h"

#include "cuda/matching.cuh"

namespace osprey::cuda {
namespace {

// One thread per point (x) and image (y), which fills its column of costs.
__global__ void simota_cost_kernel(PointPredictions predictions, BoxLists truths, View<const int> labels,
                                   SimOtaRule rule, View<float> cost) {
  const int p = global_thread(), image = int(blockIdx.y), count = truths.count(image);
  if (p >= predictions.points()) return;
  const Box cell = predictions.cell(image, p);
  bool candidate = false;
  for (int t = 0; t < count && !candidate; ++t) candidate = rule.place(cell, truths.box(image, t)).candidate;
  const int row = predictions.row(image, p);
  float none = 0;
  for (int c = 0; candidate && c < predictions.classes.shape.c; ++c)
    none += rule.cost_of_none(rule.probability(predictions, row, c));
  for (int t = 0; t < count; ++t) {
    const Box truth = truths.box(image, t);
    cost(image, 0, t, p) =
        !candidate ? INFINITY
                   : rule.cost(none, rule.probability(predictions, row, labels(image, 0, 0, t)),
                               predictions.overlap(image, p, truth), rule.place(cell, truth).inside);
  }
}

// One block per truth there is room for (x) and image (y), whose threads share the points.
__global__ void simota_last_kernel(PointPredictions predictions, BoxLists truths, SimOtaRule rule,
                                   View<const float> cost, View<int> last) {
  const int t = int(blockIdx.x), image = int(blockIdx.y), points = predictions.points();
  const bool present = t < truths.count(image);  // the same for the whole block
  int taken = -1;
  if (present) {
    const Box truth = truths.box(image, t);
    const auto key_of_overlap = [&](int p) {
      return cost(image, 0, t, p) == INFINITY ? kNoKey : rising_key(-predictions.overlap(image, p, truth), p);
    };
    float sum = 0;
    uint64_t key = 0;
    for (int i = 0; i < rule.best_overlaps; ++i) {
      key = next_key(key, 0, points, key_of_overlap);
      if (key == kNoKey) break;
      sum += predictions.overlap(image, index_of_key(key), truth);
    }
    const auto key_of_cost = [&](int p) {
      const float c = cost(image, 0, t, p);
      return c == INFINITY ? kNoKey : rising_key(c, p);
    };
    const int k = max(int(sum), 1);
    key = 0;
    for (int i = 0; i < k; ++i) {
      key = next_key(key, 0, points, key_of_cost);
      if (key == kNoKey) break;  // there are fewer candidates than k
      taken = index_of_key(key);
    }
  }
  if (threadIdx.x == 0) last(image, 0, 0, t) = taken;
}

// One thread per point (x) and image (y).
__global__ void simota_matching_kernel(PointPredictions predictions, BoxLists truths, View<const float> cost,
                                       View<const int> last, View<int> match, View<float> overlap) {
  const int p = global_thread(), image = int(blockIdx.y);
  if (p >= predictions.points()) return;
  int taken_by = kBackground, times = 0, cheapest = kBackground;
  uint64_t least = kNoKey;
  for (int t = 0; t < truths.count(image); ++t) {
    const uint64_t own = rising_key(cost(image, 0, t, p), t);
    if (own < least) {
      least = own;
      cheapest = t;
    }
    const int dearest = last(image, 0, 0, t);
    if (dearest < 0 || rising_key(cost(image, 0, t, p), p) > rising_key(cost(image, 0, t, dearest), dearest))
      continue;
    taken_by = t;
    ++times;
  }
  const int truth = times > 1 ? cheapest : taken_by;
  match(image, 0, 0, p) = truth;
  overlap(image, 0, 0, p) =
      truth == kBackground ? 0 : predictions.overlap(image, p, truths.box(image, truth));
}

}  // namespace

void simota_matching(Stream& s, PointPredictions predictions, BoxLists truths, View<const int> labels,
                     SimOtaRule rule, View<float> cost, View<int> last, View<int> match,
                     View<float> overlap) {
  const int images = match.shape.n;
  const Grid over_points = one_thread_per_anchor(predictions.points(), images);
  const View<const float> costs = cost;
  const View<const int> dearest = last;
  launch<simota_cost_kernel>(s, over_points, predictions, truths, labels, rule, cost);
  launch<simota_last_kernel>(s, one_block_per_truth(truths, images), predictions, truths, rule, costs, last);
  launch<simota_matching_kernel>(s, over_points, predictions, truths, costs, dearest, match, overlap);
}

}  // namespace osprey::cuda
