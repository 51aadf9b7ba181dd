#include "cuda/dense_loss.h"

#include <algorithm>
#include <cmath>

#include "core/activations.h"
#include "core/parallel.h"
#include "layers/vector_loop.h"

namespace osprey {
namespace {

// Calls body(image, first row, last row, part), rows numbered through all images.
template <class Body>
void for_each_part(int images, int of_image, Body body) {
  const int parts = parts_of_image(of_image);
  parallel_for(int64_t(images) * parts, 1, [&](int64_t first, int64_t last) {
    for (int64_t part = first; part < last; ++part) {
      const int image = int(part) / parts, row = int(part) % parts * kRowsPerPart;
      body(image, image * of_image + row, image * of_image + std::min(of_image, row + kRowsPerPart),
           int(part));
    }
  });
}

struct Loss {
  const DenseRows& rows;
  const DenseTargets& targets;
  const DenseRule& rule;
  const DenseWork& work;
  const DenseGradients& gradients;

  int of_image() const { return targets.match.shape.c; }
  Box anchor(int row) const { return targets.anchors[row % of_image()]; }
  Box truth(int row) const { return targets.truths.boxes(row / of_image(), 0, 0, targets.match[row]); }
  Box predicted(int row) const { return rule.coder.decode(deltas_of_row(rows.deltas, row), anchor(row)); }

  void weigh(int row) const {
    const bool positive = targets.match[row] >= 0;
    work.weights[row] = positive ? rule.row_weight(anchor(row), predicted(row), truth(row)) : 0;
    work.class_targets[row] = !positive ? 0 : rule.soft_classes ? iou(predicted(row), truth(row)) : 1;
  }

  void learn_classes(int row, float factor, LossReport& sum) const {
    const int classes = rows.logits.shape.c, match = targets.match[row];
    const int label = match >= 0 ? targets.truths.labels(row / of_image(), 0, 0, match) : -1;
    if (match == kIgnored) {
      std::fill_n(&gradients.logits[row * classes], classes, 0.0f);
      return;
    }
    const ValueLoss& class_loss = rule.class_loss;
    const auto learn = [&](auto&& cost) {
      learn_values(row * classes, classes, label, work.class_targets[row], factor, cost, sum.class_loss);
    };
    if (class_loss.kind != ValueLoss::Kind::focal)
      return learn([&](float x, float target) { return class_loss.cost(x, target); });
    const float alpha = class_loss.alpha, gamma = class_loss.gamma;
    if (gamma == 2) return learn([=](float x, float target) { return sigmoid_focal(x, target, alpha, 2); });
    learn([=](float x, float target) { return sigmoid_focal(x, target, alpha, gamma); });
  }

  // The classes of a row, from logit `first` on. Losses wait in a block, so that the first loop vectorises
  // and the double sum keeps its order.
  template <class Cost>
  void learn_values(int first, int count, int label, float target, float factor, Cost&& cost,
                    double& sum) const {
    constexpr int kBlock = 64;
    float losses[kBlock];
    for (int start = 0; start < count; start += kBlock) {
      const int block = std::min(kBlock, count - start);
      const float* const logits = &rows.logits[first + start];
      float* const slopes = &gradients.logits[first + start];
      VECTOR_LOOP
      for (int c = 0; c < block; ++c) {
        const LossAndSlope at = cost(logits[c], start + c == label ? target : 0);
        losses[c] = at.loss;
        slopes[c] = at.slope * factor;
      }
      for (int c = 0; c < block; ++c) sum += double(losses[c]) * factor;
    }
  }

  void learn_box(int row, float factor, LossReport& sum) const {
    Deltas slopes = {0, 0, 0, 0};
    if (targets.match[row] >= 0) {
      const float weight = factor * work.weights[row] * rule.feedback.gain(truth(row));
      const auto [loss, along] =
          rule.box_loss.cost(rule.coder, deltas_of_row(rows.deltas, row), anchor(row), truth(row));
      sum.box_loss += double(loss) * weight;
      sum.iou += iou(predicted(row), truth(row));
      ++sum.matched;
      slopes = {along.x * weight, along.y * weight, along.w * weight, along.h * weight};
    }
    float* gradient = &gradients.deltas[4 * row];
    gradient[0] = slopes.x, gradient[1] = slopes.y, gradient[2] = slopes.w, gradient[3] = slopes.h;
  }

  void learn_quality(int row, float factor, LossReport& sum) const {
    const int match = targets.match[row];
    gradients.quality[row] = 0;
    if (match == kIgnored || (match < 0 && rule.quality != RowQuality::objectness)) return;
    const auto [loss, slope] = bce_with_logits(rows.quality[row], match >= 0 ? work.weights[row] : 0);
    sum.objectness_loss += double(loss) * factor;
    gradients.quality[row] = slope * factor;
  }
};

void move_share(const Loss& loss) {
  FeedbackSums sums;
  for (int row = 0; row < loss.targets.match.size(); ++row) {
    if (loss.targets.match[row] < 0) continue;
    const Box truth = loss.truth(row);
    const auto cost = loss.rule.box_loss.cost(loss.rule.coder, deltas_of_row(loss.rows.deltas, row),
                                              loss.anchor(row), truth);
    const DenseFactors factors = dense_factors(loss.work.sums, row / loss.of_image(), loss.rule.per_image);
    loss.rule.feedback.tell(truth, double(cost.loss) * factors.weight * loss.work.weights[row], sums);
  }
  loss.rule.feedback.move(sums);
}

// Positive rows of each image, and the sum of their weights.
void sum_weights(View<const int> match, const DenseWork& work) {
  for (int image = 0; image < match.shape.n; ++image) {
    double count = 0, weight = 0;
    for (int row = image * match.shape.c; row < (image + 1) * match.shape.c; ++row)
      if (match[row] >= 0) count += 1, weight += work.weights[row];
    work.sums[2 * image] = float(count);
    work.sums[2 * image + 1] = float(weight);
  }
}

}  // namespace

void cpu::decode_boxes(Stream&, View<const float> deltas, View<const Box> anchors, RowCoder coder,
                       View<Box> boxes) {
  parallel_for(boxes.size(), 1024, [&](int64_t first, int64_t last) {
    for (int i = int(first); i < int(last); ++i)
      boxes[i] = coder.decode(deltas_of_row(deltas, i), anchors[i % anchors.size()]);
  });
}

void cpu::dense_rows(Stream&, DenseRows from, View<const Box> anchors, RowCoder coder, bool roots,
                     float width, float height, View<float> rows) {
  const int length = rows.shape.c, classes = length - kClasses;
  const auto score = [&](float logit) { return roots ? std::sqrt(logistic(logit)) : logistic(logit); };
  parallel_for(rows.shape.rows(), 256, [&](int64_t first, int64_t last) {
    for (int row = int(first); row < int(last); ++row) {
      float* to = &rows[row * length];
      const Box box = coder.decode(deltas_of_row(from.deltas, row), anchors[row % anchors.size()]);
      const CentreBox b = centre(clipped(box, width, height));
      to[kX] = b.x / width, to[kY] = b.y / height, to[kW] = b.w / width, to[kH] = b.h / height;
      to[kObjectness] = from.quality ? score(from.quality[row]) : 1;
      for (int c = 0; c < classes; ++c) to[kClasses + c] = score(from.logits[row * classes + c]);
    }
  });
}

void cpu::dense_loss(Stream&, DenseRows rows, DenseTargets targets, const DenseRule& rule, DenseWork work,
                     DenseGradients gradients, View<float> losses, LossReport* report) {
  const Loss loss = {rows, targets, rule, work, gradients};
  const int images = rows.logits.shape.n, of_image = loss.of_image();
  const View<LossReport> parts = work.reports();
  for_each_part(images, of_image, [&](int, int first, int last, int) {
    for (int row = first; row < last; ++row) loss.weigh(row);
  });
  sum_weights(targets.match, work);
  for_each_part(images, of_image, [&](int image, int first, int last, int part) {
    const DenseFactors factors = dense_factors(work.sums, image, rule.per_image);
    LossReport sum;
    for (int row = first; row < last; ++row) {
      loss.learn_classes(row, factors.count, sum);
      loss.learn_box(row, rule.box_weight * factors.weight, sum);
      if (rows.quality) loss.learn_quality(row, rule.quality_weight * factors.count, sum);
    }
    parts[part] = sum;
  });
  if (rule.feedback.on) move_share(loss);
  for (int n = 0; n < images; ++n) {
    LossReport sum;
    for (int part = n * parts_of_image(of_image); part < (n + 1) * parts_of_image(of_image); ++part)
      add(sum, parts[part]);
    sum.loss = sum.class_loss + sum.box_loss + sum.objectness_loss;
    losses[n] = float(sum.loss);
    add(*report, sum);
  }
}

void cpu::dense_costs(Stream&, DenseRows rows, DenseTargets targets, const DenseRule& rule,
                      View<float> costs) {
  const int of_image = costs.shape.c, classes = rows.logits.shape.c;
  parallel_for(costs.size(), kRowsPerPart, [&](int64_t first, int64_t last) {
    for (int row = int(first); row < int(last); ++row) {
      const int image = row / of_image, truth = targets.match[row];
      costs[row] = 0;
      if (truth < 0) continue;
      const int label = targets.truths.labels(image, 0, 0, truth);
      for (int c = 0; c < classes; ++c)
        costs[row] += rule.class_loss.cost(rows.logits[row * classes + c], c == label ? 1 : 0).loss;
      costs[row] += rule.box_loss
                        .cost(rule.coder, deltas_of_row(rows.deltas, row), targets.anchors[row % of_image],
                              targets.truths.boxes(image, 0, 0, truth))
                        .loss;
    }
  });
}

}  // namespace osprey
