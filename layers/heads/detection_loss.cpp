// How Darknet teaches a [detection] layer, cell by cell: an object's class to its cell, and its box to one
// box of the cell, which should be sure; all other boxes should not. The formulas are in cuda/detection.h.
#include <algorithm>

#include "core/log.h"
#include "core/parallel.h"
#include "cuda/detection.h"

namespace osprey::cpu {
namespace {

using namespace detection_rules;

void warn_of_truths(const DetectionGrid& grid, const Truths& truths, int image) {
  Truth truth;
  for (int t = 0; t < truths.counts[image]; ++t)
    if (!read_truth(truths, image, t, grid.classes, truth))
      warn(
          "[detection] a truth of class {}, {} x {}, is left out: there are {} classes, sizes must be "
          "positive, and boxes in the image",
          truth.class_id, truth.box.w, truth.box.h, grid.classes);
}

double squares(const float* first, int count) {
  double sum = 0;
  for (int i = 0; i < count; ++i) sum += double(first[i]) * first[i];
  return sum;
}

// p and d: output and slopes of the image.
LossReport teach_image(const DetectionGrid& grid, const DetectionLoss& loss, const float* p,
                       const Truths& truths, const Step& step, float* d, int image) {
  warn_of_truths(grid, truths, image);
  std::fill_n(d, grid.numbers(), 0.0f);
  for (int box = 0; box < grid.boxes_of_image(); ++box)
    d[grid.confidence_at(box)] = -loss.noobject_scale * p[grid.confidence_at(box)];
  LossReport report;
  Truth truth;
  for (int cell = 0; cell < grid.cells(); ++cell) {
    if (!truth_of_cell(grid, truths, image, cell, truth)) continue;
    const int classes = grid.classes_at(cell);
    for (int c = 0; c < grid.classes; ++c)
      d[classes + c] = loss.class_scale * (float(c == truth.class_id) - p[classes + c]);
    const int box = taught_box(grid, loss, p, image, cell, truth.box, step);
    const float overlap = iou(corners(grid.box(p, box)), corners(truth.box));
    const int confidence = grid.confidence_at(box);
    d[confidence] = loss.object_scale * (wanted_confidence(loss, overlap) - p[confidence]);
    const CentreBox wanted = wanted_box(grid, cell, truth.box);
    const int at = grid.box_at(box);
    d[at] = loss.coord_scale * (wanted.x - p[at]);
    d[at + 1] = loss.coord_scale * (wanted.y - p[at + 1]);
    d[at + 2] = loss.coord_scale * (wanted.w - p[at + 2]);
    d[at + 3] = loss.coord_scale * (wanted.h - p[at + 3]);
    report.iou += overlap;
    ++report.matched;
  }
  report.class_loss = squares(d, grid.confidence_at(0));
  report.objectness_loss = squares(d + grid.confidence_at(0), grid.boxes_of_image());
  report.box_loss = squares(d + grid.box_at(0), 4 * grid.boxes_of_image());
  return report;
}

}  // namespace

void detection_loss(Stream&, const DetectionGrid& grid, const DetectionLoss& loss, View<const float> y,
                    const Truths& truths, const Step* step, View<float> delta, const LossWork& work,
                    LossReport* report) {
  const View<LossReport> images = work.reports();
  parallel_for(y.shape.n, 1, [&](int64_t first, int64_t last) {
    for (int n = int(first); n < int(last); ++n)
      images[n] =
          teach_image(grid, loss, &y[n * grid.numbers()], truths, *step, &delta[n * grid.numbers()], n);
  });
  LossReport sum;  // in the order of the images: equal for any number of threads
  for (int n = 0; n < y.shape.n; ++n) add(sum, images[n]);
  finish({}, sum);
  add(*report, sum);
}

}  // namespace osprey::cpu
