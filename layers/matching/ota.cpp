// The CPU side of cuda/matching_ota.h.
#include <algorithm>
#include <functional>
#include <vector>

#include "core/parallel.h"
#include "cuda/matching_ota.h"

namespace osprey::cpu {
namespace {

constexpr int kPointsPerTask = 64;

void fill_costs(const PointPredictions& predictions, const BoxLists& truths, View<const int> labels,
                const OtaRule& rule, int image, View<double> cost) {
  const int classes = predictions.classes.shape.c, count = truths.count(image);
  parallel_for(predictions.points(), kPointsPerTask, [&](int64_t first, int64_t last) {
    for (int p = int(first); p < int(last); ++p) {
      const float* logits = &predictions.classes[predictions.row(image, p) * classes];
      float none = 0;
      for (int c = 0; c < classes; ++c) none += rule.cost_of_class(logits[c], false);
      for (int t = 0; t < count; ++t) {
        const Box truth = truths.box(image, t);
        cost(image, 0, t, p) =
            rule.cost(none, logits[labels(image, 0, 0, t)], predictions.overlap(image, p, truth),
                      rule.inside(predictions.cell(image, p), truth));
      }
      cost(image, 0, count, p) = none;
    }
  });
}

// How many positives the best predictions of a truth deserve.
int positives_of(const PointPredictions& predictions, Box truth, const OtaRule& rule, int image) {
  std::vector<float> overlaps;
  for (int p = 0; p < predictions.points(); ++p)
    if (rule.inside(predictions.cell(image, p), truth))
      overlaps.push_back(predictions.overlap(image, p, truth));
  std::sort(overlaps.begin(), overlaps.end(), std::greater<>());
  float sum = 0;
  for (size_t i = 0; i < overlaps.size() && i < size_t(rule.best_overlaps); ++i) sum += overlaps[i];
  return std::max(int(sum), 1);
}

void fill_supply(const PointPredictions& predictions, const BoxLists& truths, const OtaRule& rule, int image,
                 const OtaScratch& scratch) {
  const int count = truths.count(image);
  int rest = predictions.points();
  for (int t = 0; t < count; ++t) {
    const int k = positives_of(predictions, truths.box(image, t), rule, image);
    scratch.supply(image, 0, 0, t) = float(k);
    rest -= k;
  }
  scratch.supply(image, 0, 0, count) = float(rest);
  scratch.rows[image] = count + 1;
}

// The row that holds most of a point, each row measured by its own largest value.
int best_row(const Transport& transport, int image, int p, View<const double> largest) {
  const auto part = [&](int r) {
    return transport.v(image, 0, 0, p) - transport.cost(image, 0, r, p) - largest(image, 0, 0, r);
  };
  int best = 0;
  for (int r = 1; r < transport.suppliers(image); ++r)
    if (part(r) > part(best)) best = r;
  return best;
}

}  // namespace

void ota_matching(Stream& s, PointPredictions predictions, BoxLists truths, View<const int> labels,
                  OtaRule rule, OtaScratch scratch, View<int> match, View<float> overlap) {
  const Transport transport = scratch.transport();
  const int images = match.shape.n, points = predictions.points();
  for (int image = 0; image < images; ++image) {
    fill_costs(predictions, truths, labels, rule, image, scratch.cost);
    fill_supply(predictions, truths, rule, image, scratch);
  }
  sinkhorn(s, transport, rule.sinkhorn);
  for (int image = 0; image < images; ++image) {
    for (int r = 0; r < transport.suppliers(image); ++r) {
      double most = -INFINITY;
      for (int p = 0; p < points; ++p)
        most = std::max(most, transport.v(image, 0, 0, p) - transport.cost(image, 0, r, p));
      scratch.largest(image, 0, 0, r) = most;
    }
    for (int p = 0; p < points; ++p) {
      const int row = best_row(transport, image, p, scratch.largest);
      const bool positive = row < truths.count(image);
      match(image, 0, 0, p) = positive ? row : kBackground;
      overlap(image, 0, 0, p) = positive ? predictions.overlap(image, p, truths.box(image, row)) : 0;
    }
  }
}

}  // namespace osprey::cpu
