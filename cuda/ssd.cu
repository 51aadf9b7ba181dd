#include "cuda/ssd.h"

#include "cuda/matching.cuh"
#include "cuda/report.cuh"
#include "cuda/softmax_row.cuh"

namespace osprey::cuda {
namespace {

// One thread per anchor (x) and image (y).
__global__ void ssd_labels_kernel(View<const Box> anchors, TruthLists truths, float background,
                                  View<int> match, View<int> labels) {
  const int a = global_thread(), image = int(blockIdx.y);
  if (a >= anchors.shape.c) return;
  const int row = image * anchors.shape.c + a;
  int truth = match[row];
  if (truth == kBackground && overlaps_truth(anchors[a], truths.lists(), image, background))
    match[row] = truth = kIgnored;
  labels[row] = truth >= 0 ? truths.labels(image, 0, 0, truth) + 1 : truth == kBackground ? 0 : -1;
}

// By the warp of the row.
__device__ void learn_class(const SsdRows& rows, const SsdSample& sample, float factor, int row,
                            View<float> gradient, LossReport& own) {
  const int lane = int(threadIdx.x % 32), classes = rows.logits.shape.c, start = row * classes;
  if (sample.weights[row] == 0) {
    for (int c = lane; c < classes; c += 32) gradient[start + c] = 0;
    return;
  }
  const int label = sample.labels[row];
  const RowSoftmax softmax(&rows.logits[start], classes);
  for (int c = lane; c < classes; c += 32) {
    const float probability = expf(softmax.log_probability(rows.logits[start + c]));
    gradient[start + c] = factor * (probability - (c == label ? 1.0f : 0.0f));
  }
  if (lane == 0) own.class_loss += double(sample.losses[row]) * factor;
}

// By one thread for the row.
__device__ void learn_box(const SsdRows& rows, const SsdTargets& targets, const SsdRule& rule, float factor,
                          int row, int image, View<float> gradient, LossReport& own) {
  const int match = targets.match[row];
  const float weight = rule.box_weight * factor;
  Deltas slopes = {0, 0, 0, 0};
  if (match >= 0) {
    const Box anchor = targets.anchors[row - image * targets.match.shape.c],
              truth = targets.truths.boxes(image, 0, 0, match);
    const Deltas d = deltas_of_row(rows.deltas, row);
    const RowBoxLoss::Cost cost = rule.box_loss.cost(rule.coder, d, anchor, truth);
    own.box_loss += double(cost.loss) * weight;
    own.iou += iou(rule.coder.decode(d, anchor), truth);
    ++own.matched;
    slopes = cost.slopes;
  }
  gradient[4 * row] = slopes.x * weight;
  gradient[4 * row + 1] = slopes.y * weight;
  gradient[4 * row + 2] = slopes.w * weight;
  gradient[4 * row + 3] = slopes.h * weight;
}

constexpr int kLossThreads = kSsdRowsPerPart;

// One block per part of an image (blocks in x) and image (in y): its warps take the classes of the part's
// rows in turn, then each thread the box of one row.
__global__ void ssd_loss_kernel(SsdRows rows, SsdTargets targets, SsdSample sample, SsdRule rule,
                                View<LossReport> parts, SsdGradients gradients) {
  const int image = int(blockIdx.y), of_image = targets.match.shape.c;
  const int first = image * of_image + int(blockIdx.x) * kSsdRowsPerPart;
  const int last = min(first + kSsdRowsPerPart, (image + 1) * of_image);
  const float factor = ssd_factor(sample.counts);
  LossReport own;
  for (int row = first + int(threadIdx.x / 32); row < last; row += kLossThreads / 32)
    learn_class(rows, sample, factor, row, gradients.logits, own);
  const int row = first + int(threadIdx.x);
  if (row < last) learn_box(rows, targets, rule, factor, row, image, gradients.deltas, own);
  const LossReport total = block_total(own);
  if (threadIdx.x == 0) parts(image, 0, 0, int(blockIdx.x)) = total;
}

// One block: each thread adds up the parts of its images, and the block the images.
__global__ void tell_ssd_loss_kernel(View<const LossReport> parts, View<float> losses, LossReport* report) {
  LossReport own;
  for (int n = int(threadIdx.x); n < losses.size(); n += int(blockDim.x)) {
    LossReport sum;
    for (int part = 0; part < parts.shape.c; ++part) add(sum, parts(n, 0, 0, part));
    sum.loss = sum.class_loss + sum.box_loss;
    losses[n] = float(sum.loss);
    add(own, sum);
  }
  const LossReport total = block_total(own);
  if (threadIdx.x == 0) add(*report, total);
}

// One warp per row: its first lane decodes the box.
__global__ void ssd_rows_kernel(SsdRows from, View<const Box> anchors, BoxCoder coder, float width,
                                float height, View<float> rows) {
  const int row = row_of_warp(), lane = int(threadIdx.x % 32), classes = from.logits.shape.c;
  if (row >= rows.shape.rows()) return;  // all lanes of a warp, or none
  const int start = row * rows.shape.c;
  const float* logits = &from.logits[row * classes];
  const RowSoftmax softmax(logits, classes);
  for (int c = 1 + lane; c < classes; c += 32)
    rows[start + kClasses + c - 1] = expf(softmax.log_probability(logits[c]));
  if (lane != 0) return;
  const Box box = coder.decode(deltas_of_row(from.deltas, row), anchors[row % anchors.size()]);
  const CentreBox b = centre(clipped(box, width, height));
  rows[start + kX] = b.x / width;
  rows[start + kY] = b.y / height;
  rows[start + kW] = b.w / width;
  rows[start + kH] = b.h / height;
  rows[start + kObjectness] = 1;
}

}  // namespace

void ssd_labels(Stream& s, View<const Box> anchors, TruthLists truths, float background, View<int> match,
                View<int> labels) {
  launch<ssd_labels_kernel>(s, one_thread_per_anchor(anchors.shape.c, match.shape.n), anchors, truths,
                            background, match, labels);
}

void ssd_loss(Stream& s, SsdRows rows, SsdTargets targets, SsdSample sample, SsdRule rule,
              View<LossReport> parts, SsdGradients gradients, View<float> losses, LossReport* report) {
  launch<ssd_loss_kernel>(s, {dim3(unsigned(parts.shape.c), unsigned(parts.shape.n)), dim3(kLossThreads)},
                          rows, targets, sample, rule, parts, gradients);
  launch<tell_ssd_loss_kernel>(s, {dim3(1), dim3(256)}, View<const LossReport>(parts), losses, report);
}

void ssd_rows(Stream& s, SsdRows from, View<const Box> anchors, BoxCoder coder, float width, float height,
              View<float> rows) {
  launch<ssd_rows_kernel>(s, one_warp_each(rows.shape.rows()), from, anchors, coder, width, height, rows);
}

}  // namespace osprey::cuda
