#include "cuda/matching_ota.h"

#include "cuda/matching.cuh"

namespace osprey::cuda {
namespace {

// One thread per point (x) and image (y), which fills its column of costs.
__global__ void ota_cost_kernel(PointPredictions predictions, BoxLists truths, View<const int> labels,
                                OtaRule rule, View<double> cost) {
  const int p = global_thread(), image = int(blockIdx.y), count = truths.count(image);
  if (p >= predictions.points()) return;
  const Box cell = predictions.cell(image, p);
  const int classes = predictions.classes.shape.c, first = predictions.row(image, p) * classes;
  float none = 0;
  for (int c = 0; c < classes; ++c) none += rule.cost_of_class(predictions.classes[first + c], false);
  for (int t = 0; t < count; ++t) {
    const Box truth = truths.box(image, t);
    cost(image, 0, t, p) = rule.cost(none, predictions.classes[first + labels(image, 0, 0, t)],
                                     predictions.overlap(image, p, truth), rule.inside(cell, truth));
  }
  cost(image, 0, count, p) = none;
}

// One block per truth there is room for (x) and image (y), whose threads share the points.
__global__ void ota_supply_kernel(PointPredictions predictions, BoxLists truths, OtaRule rule,
                                  View<float> supply) {
  const int t = int(blockIdx.x), image = int(blockIdx.y);
  if (t >= truths.count(image)) return;  // the whole block
  const Box truth = truths.box(image, t);
  const auto key_of_overlap = [&](int p) {
    return rule.inside(predictions.cell(image, p), truth)
               ? rising_key(-predictions.overlap(image, p, truth), p)
               : kNoKey;
  };
  float sum = 0;
  uint64_t key = 0;
  for (int i = 0; i < rule.best_overlaps; ++i) {
    key = next_key(key, 0, predictions.points(), key_of_overlap);
    if (key == kNoKey) break;
    sum += predictions.overlap(image, index_of_key(key), truth);
  }
  if (threadIdx.x == 0) supply(image, 0, 0, t) = float(max(int(sum), 1));
}

// One thread per image: what truths do not supply, background does.
__global__ void ota_background_kernel(BoxLists truths, int points, View<float> supply, View<int> rows) {
  const int image = global_thread();
  if (image >= rows.size()) return;
  const int count = truths.count(image);
  float rest = float(points);
  for (int t = 0; t < count; ++t) rest -= supply(image, 0, 0, t);
  supply(image, 0, 0, count) = rest;
  rows[image] = count + 1;
}

// One block per row (x) and image (y), whose threads share the points.
__global__ void ota_largest_kernel(Transport transport, View<double> largest) {
  const int r = int(blockIdx.x), image = int(blockIdx.y);
  if (r >= transport.suppliers(image)) return;  // the whole block
  double most = -INFINITY;
  for (int p = int(threadIdx.x); p < transport.customers(); p += int(blockDim.x))
    most = fmax(most, transport.v(image, 0, 0, p) - transport.cost(image, 0, r, p));
  most = block_max(most);
  if (threadIdx.x == 0) largest(image, 0, 0, r) = most;
}

// One thread per point (x) and image (y). Rows are compared by logarithms, from which the u of a row drops
// out with its largest value.
__global__ void ota_matching_kernel(PointPredictions predictions, BoxLists truths, Transport transport,
                                    View<const double> largest, View<int> match, View<float> overlap) {
  const int p = global_thread(), image = int(blockIdx.y), count = truths.count(image);
  if (p >= predictions.points()) return;
  int best = 0;
  double most = -INFINITY;
  for (int r = 0; r <= count; ++r) {
    const double part =
        transport.v(image, 0, 0, p) - transport.cost(image, 0, r, p) - largest(image, 0, 0, r);
    if (!(part > most)) continue;
    most = part;
    best = r;
  }
  const bool positive = best < count;
  match(image, 0, 0, p) = positive ? best : kBackground;
  overlap(image, 0, 0, p) = positive ? predictions.overlap(image, p, truths.box(image, best)) : 0;
}

}  // namespace

void ota_matching(Stream& s, PointPredictions predictions, BoxLists truths, View<const int> labels,
                  OtaRule rule, OtaScratch scratch, View<int> match, View<float> overlap) {
  const int images = match.shape.n, points = predictions.points();
  const Grid over_points = one_thread_per_anchor(points, images);
  const Grid over_rows = {dim3(unsigned(scratch.cost.shape.w), unsigned(images)), dim3(kMatchingThreads)};
  const View<const double> largest = scratch.largest;
  launch<ota_cost_kernel>(s, over_points, predictions, truths, labels, rule, scratch.cost);
  launch<ota_supply_kernel>(s, one_block_per_truth(truths, images), predictions, truths, rule,
                            scratch.supply);
  launch<ota_background_kernel>(s, one_thread_each(images), truths, points, scratch.supply, scratch.rows);
  sinkhorn(s, scratch.transport(), rule.sinkhorn);
  launch<ota_largest_kernel>(s, over_rows, scratch.transport(), scratch.largest);
  launch<ota_matching_kernel>(s, over_points, predictions, truths, scratch.transport(), largest, match,
                              overlap);
}

}  // namespace osprey::cuda
