#include "cuda/dense_loss.h"

#include "core/activations.h"
#include "cuda/feedback.cuh"
#include "cuda/report.cuh"

namespace osprey::cuda {
namespace {

constexpr int kThreads = 256;

__global__ void decode_boxes_kernel(View<const float> deltas, View<const Box> anchors, RowCoder coder,
                                    View<Box> boxes) {
  const int i = global_thread();
  if (i >= boxes.size()) return;
  boxes[i] = coder.decode(deltas_of_row(deltas, i), anchors[i % anchors.size()]);
}

// One thread per value of a row.
__global__ void dense_rows_kernel(DenseRows from, View<const Box> anchors, RowCoder coder, bool roots,
                                  float width, float height, View<float> rows) {
  const int i = global_thread();
  if (i >= rows.size()) return;
  const int length = rows.shape.c, row = i / length, entry = i % length;
  if (entry < kObjectness) {
    const Box box = coder.decode(deltas_of_row(from.deltas, row), anchors[row % anchors.size()]);
    const CentreBox b = centre(clipped(box, width, height));
    rows[i] = entry == kX   ? b.x / width
              : entry == kY ? b.y / height
              : entry == kW ? b.w / width
                            : b.h / height;
    return;
  }
  float score = 1;
  if (entry >= kClasses)
    score = logistic(from.logits[row * (length - kClasses) + entry - kClasses]);
  else if (from.quality)
    score = logistic(from.quality[row]);
  rows[i] = roots ? sqrtf(score) : score;
}

// One thread per row.
__global__ void weigh_rows_kernel(View<const float> deltas, DenseTargets targets, DenseRule rule,
                                  View<float> weights, View<float> class_targets) {
  const int i = global_thread();
  if (i >= weights.size()) return;
  const int rows = weights.shape.c, image = i / rows, truth = targets.match[i];
  if (truth < 0) {
    weights[i] = class_targets[i] = 0;
    return;
  }
  const Box anchor = targets.anchors[i % rows], box = targets.truths.boxes(image, 0, 0, truth);
  const Box predicted = rule.coder.decode(deltas_of_row(deltas, i), anchor);
  weights[i] = rule.row_weight(anchor, predicted, box);
  class_targets[i] = rule.soft_classes ? iou(predicted, box) : 1;
}

// One thread per row.
__global__ void dense_costs_kernel(DenseRows rows, DenseTargets targets, DenseRule rule, View<float> costs) {
  const int i = global_thread();
  if (i >= costs.size()) return;
  costs[i] = 0;
  const int image = i / costs.shape.c, truth = targets.match[i], classes = rows.logits.shape.c;
  if (truth < 0) return;
  const int label = targets.truths.labels(image, 0, 0, truth);
  float sum = 0;
  for (int c = 0; c < classes; ++c)
    sum += rule.class_loss.cost(rows.logits[i * classes + c], c == label ? 1.0f : 0.0f).loss;
  const Box anchor = targets.anchors[i % targets.anchors.size()],
            box = targets.truths.boxes(image, 0, 0, truth);
  costs[i] = sum + rule.box_loss.cost(rule.coder, deltas_of_row(rows.deltas, i), anchor, box).loss;
}

// One block per image: its threads stride through the rows.
__global__ void sum_weights_kernel(View<const int> match, View<const float> weights, View<float> sums) {
  const int image = int(blockIdx.x), rows = match.shape.c;
  double count = 0, weight = 0;
  for (int r = int(threadIdx.x); r < rows; r += int(blockDim.x))
    if (match[image * rows + r] >= 0) count += 1, weight += weights[image * rows + r];
  count = block_sum(count);
  weight = block_sum(weight);
  if (threadIdx.x == 0) sums[2 * image] = float(count), sums[2 * image + 1] = float(weight);
}

__device__ void learn_classes(const DenseRows& rows, const DenseTargets& targets, const DenseRule& rule,
                              View<const float> class_targets, float factor, int row, int c, int image,
                              View<float> gradient, LossReport& own) {
  const int i = row * rows.logits.shape.c + c, truth = targets.match[row];
  gradient[i] = 0;
  if (truth == kIgnored) return;
  const bool is_class = truth >= 0 && targets.truths.labels(image, 0, 0, truth) == c;
  const LossAndSlope cost = rule.class_loss.cost(rows.logits[i], is_class ? class_targets[row] : 0.0f);
  own.class_loss += double(cost.loss) * factor;
  gradient[i] = cost.slope * factor;
}

__device__ void learn_box(const DenseRows& rows, const DenseTargets& targets, const DenseRule& rule,
                          float weight, int row, int image, View<float> gradient, LossReport& own) {
  const int truth = targets.match[row];
  Deltas slopes = {0, 0, 0, 0};
  if (truth >= 0) {
    const Box anchor = targets.anchors[row % targets.anchors.size()],
              box = targets.truths.boxes(image, 0, 0, truth);
    const Deltas d = deltas_of_row(rows.deltas, row);
    const RowBoxLoss::Cost cost = rule.box_loss.cost(rule.coder, d, anchor, box);
    weight *= rule.feedback.gain(box);
    own.box_loss += double(cost.loss) * weight;
    own.iou += iou(rule.coder.decode(d, anchor), box);
    ++own.matched;
    slopes = {cost.slopes.x * weight, cost.slopes.y * weight, cost.slopes.w * weight, cost.slopes.h * weight};
  }
  gradient[4 * row] = slopes.x;
  gradient[4 * row + 1] = slopes.y;
  gradient[4 * row + 2] = slopes.w;
  gradient[4 * row + 3] = slopes.h;
}

__device__ void learn_quality(const DenseRows& rows, int match, const DenseRule& rule, float target,
                              float factor, int row, View<float> gradient, LossReport& own) {
  const bool counts = rule.quality == RowQuality::objectness ? match != kIgnored : match >= 0;
  gradient[row] = 0;
  if (!counts) return;
  const LossAndSlope cost = bce_with_logits(rows.quality[row], match >= 0 ? target : 0.0f);
  own.objectness_loss += double(cost.loss) * factor;
  gradient[row] = cost.slope * factor;
}

// One block per part of an image (blocks in x) and image (in y): its threads stride through the class logits
// of the part's rows, then take a row each.
__global__ void dense_loss_kernel(DenseRows rows, DenseTargets targets, DenseRule rule, DenseWork work,
                                  DenseGradients gradients, View<LossReport> parts) {
  const int image = int(blockIdx.y), of_image = targets.match.shape.c, classes = rows.logits.shape.c;
  const int first = int(blockIdx.x) * kRowsPerPart, last = min(of_image, first + kRowsPerPart);
  const DenseFactors factors = dense_factors(work.sums, image, rule.per_image);
  LossReport own;
  for (int i = first * classes + int(threadIdx.x); i < last * classes; i += int(blockDim.x))
    learn_classes(rows, targets, rule, work.class_targets, factors.count, image * of_image + i / classes,
                  i % classes, image, gradients.logits, own);
  for (int r = first + int(threadIdx.x); r < last; r += int(blockDim.x)) {
    const int row = image * of_image + r;
    const float weight = work.weights[row];
    learn_box(rows, targets, rule, rule.box_weight * factors.weight * weight, row, image, gradients.deltas,
              own);
    if (rows.quality)
      learn_quality(rows, targets.match[row], rule, weight, rule.quality_weight * factors.count, row,
                    gradients.quality, own);
  }
  const LossReport total = block_total(own);
  if (threadIdx.x == 0) parts[image * int(gridDim.x) + int(blockIdx.x)] = total;
}

// One block for all rows, so that one thread may write the share, and sums have one order.
__global__ void dense_feedback_kernel(View<const float> deltas, DenseTargets targets, DenseRule rule,
                                      DenseWork work) {
  const int of_image = targets.match.shape.c;
  FeedbackSums own;
  for (int row = int(threadIdx.x); row < targets.match.size(); row += int(blockDim.x)) {
    if (targets.match[row] < 0) continue;
    const int image = row / of_image;
    const Box anchor = targets.anchors[row % of_image],
              box = targets.truths.boxes(image, 0, 0, targets.match[row]);
    const RowBoxLoss::Cost cost = rule.box_loss.cost(rule.coder, deltas_of_row(deltas, row), anchor, box);
    const float factor = dense_factors(work.sums, image, rule.per_image).weight * work.weights[row];
    rule.feedback.tell(box, double(cost.loss) * factor, own);
  }
  move_share(rule.feedback, own);
}

// One block: each thread adds up the parts of its images, and the block the images.
__global__ void tell_loss_kernel(View<const LossReport> parts, View<float> losses, LossReport* report) {
  const int images = losses.size(), of_image = parts.size() / images;
  LossReport own;
  for (int n = int(threadIdx.x); n < images; n += int(blockDim.x)) {
    LossReport sum;
    for (int i = n * of_image; i < (n + 1) * of_image; ++i) add(sum, parts[i]);
    sum.loss = sum.class_loss + sum.box_loss + sum.objectness_loss;
    losses[n] = float(sum.loss);
    add(own, sum);
  }
  const LossReport total = block_total(own);
  if (threadIdx.x == 0) add(*report, total);
}

}  // namespace

void decode_boxes(Stream& s, View<const float> deltas, View<const Box> anchors, RowCoder coder,
                  View<Box> boxes) {
  launch<decode_boxes_kernel>(s, one_thread_each(boxes.size()), deltas, anchors, coder, boxes);
}

void dense_rows(Stream& s, DenseRows from, View<const Box> anchors, RowCoder coder, bool roots, float width,
                float height, View<float> rows) {
  launch<dense_rows_kernel>(s, one_thread_each(rows.size()), from, anchors, coder, roots, width, height,
                            rows);
}

void dense_loss(Stream& s, DenseRows rows, DenseTargets targets, const DenseRule& rule, DenseWork work,
                DenseGradients gradients, View<float> losses, LossReport* report) {
  const int images = rows.logits.shape.n, of_image = rows.logits.shape.w;
  const View<LossReport> parts = work.reports();
  launch<weigh_rows_kernel>(s, one_thread_each(images * of_image), rows.deltas, targets, rule, work.weights,
                            work.class_targets);
  launch<sum_weights_kernel>(s, {dim3(unsigned(images)), dim3(kThreads)}, targets.match,
                             View<const float>(work.weights), work.sums);
  launch<dense_loss_kernel>(s,
                            {dim3(unsigned(parts_of_image(of_image)), unsigned(images)), dim3(kRowsPerPart)},
                            rows, targets, rule, work, gradients, parts);
  if (rule.feedback.on)
    launch<dense_feedback_kernel>(s, {dim3(1), dim3(1024)}, rows.deltas, targets, rule, work);
  launch<tell_loss_kernel>(s, {dim3(1), dim3(kThreads)}, View<const LossReport>(parts), losses, report);
}

void dense_costs(Stream& s, DenseRows rows, DenseTargets targets, const DenseRule& rule, View<float> costs) {
  launch<dense_costs_kernel>(s, one_thread_each(costs.size()), rows, targets, rule, costs);
}

}  // namespace osprey::cuda
