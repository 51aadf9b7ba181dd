// The CPU side of cuda/ssd.h.
#include <algorithm>
#include <cmath>

#include "core/parallel.h"
#include "cuda/ssd.h"

namespace osprey {
namespace {

// The largest of n logits, and the logarithm of the sum of exponentials above it.
struct RowSoftmax {
  float largest;
  double log_sum;

  RowSoftmax(const float* logits, int n) : largest(*std::max_element(logits, logits + n)) {
    double sum = 0;
    for (int c = 0; c < n; ++c) sum += std::exp(double(logits[c]) - largest);
    log_sum = std::log(sum);
  }
  float probability(float logit) const { return float(std::exp(double(logit) - largest - log_sum)); }
};

struct Loss {
  const SsdRows& rows;
  const SsdTargets& targets;
  const SsdSample& sample;
  const SsdRule& rule;
  const SsdGradients& gradients;
  float factor;

  int of_image() const { return targets.match.shape.c; }

  void learn_class(int row, LossReport& sum) const {
    const int classes = rows.logits.shape.c;
    float* gradient = &gradients.logits[row * classes];
    std::fill_n(gradient, classes, 0.0f);
    if (sample.weights[row] == 0) return;
    const float* logits = &rows.logits[row * classes];
    const RowSoftmax softmax(logits, classes);
    for (int c = 0; c < classes; ++c)
      gradient[c] = factor * (softmax.probability(logits[c]) - (c == sample.labels[row] ? 1.0f : 0.0f));
    sum.class_loss += double(sample.losses[row]) * factor;
  }

  void learn_box(int row, LossReport& sum) const {
    Deltas slopes;
    if (const int match = targets.match[row]; match >= 0) {
      const Box anchor = targets.anchors[row % of_image()],
                truth = targets.truths.boxes(row / of_image(), 0, 0, match);
      const Deltas d = deltas_of_row(rows.deltas, row);
      const float weight = rule.box_weight * factor;
      const auto [loss, s] = rule.box_loss.cost(rule.coder, d, anchor, truth);
      sum.box_loss += double(loss) * weight;
      sum.iou += iou(rule.coder.decode(d, anchor), truth);
      ++sum.matched;
      slopes = {s.x * weight, s.y * weight, s.w * weight, s.h * weight};
    }
    float* gradient = &gradients.deltas[4 * row];
    gradient[0] = slopes.x, gradient[1] = slopes.y, gradient[2] = slopes.w, gradient[3] = slopes.h;
  }
};

}  // namespace

void cpu::ssd_labels(Stream&, View<const Box> anchors, TruthLists truths, float background, View<int> match,
                     View<int> labels) {
  const int of_image = match.shape.c;
  parallel_for(match.size(), 1024, [&](int64_t first, int64_t last) {
    for (int row = int(first); row < int(last); ++row) {
      const int image = row / of_image;
      if (match[row] == kBackground &&
          overlaps_truth(anchors[row % of_image], truths.lists(), image, background))
        match[row] = kIgnored;
      labels[row] = match[row] >= 0             ? truths.labels(image, 0, 0, match[row]) + 1
                    : match[row] == kBackground ? 0
                                                : -1;
    }
  });
}

void cpu::ssd_loss(Stream&, SsdRows rows, SsdTargets targets, SsdSample sample, SsdRule rule,
                   View<LossReport> parts, SsdGradients gradients, View<float> losses, LossReport* report) {
  const Loss loss = {rows, targets, sample, rule, gradients, ssd_factor(sample.counts)};
  const int of_image = loss.of_image(), parts_of_image = parts.shape.c;
  parallel_for(parts.size(), 1, [&](int64_t first, int64_t last) {
    for (int part = int(first); part < int(last); ++part) {
      const int image = part / parts_of_image, start = part % parts_of_image * kSsdRowsPerPart;
      parts[part] = {};
      for (int r = start; r < std::min(start + kSsdRowsPerPart, of_image); ++r) {
        loss.learn_class(image * of_image + r, parts[part]);
        loss.learn_box(image * of_image + r, parts[part]);
      }
    }
  });
  for (int n = 0; n < losses.size(); ++n) {
    LossReport sum;
    for (int part = 0; part < parts_of_image; ++part) add(sum, parts(n, 0, 0, part));
    sum.loss = sum.class_loss + sum.box_loss;
    losses[n] = float(sum.loss);
    add(*report, sum);
  }
}

void cpu::ssd_rows(Stream&, SsdRows from, View<const Box> anchors, BoxCoder coder, float width, float height,
                   View<float> rows) {
  const int length = rows.shape.c, classes = from.logits.shape.c;
  parallel_for(rows.shape.rows(), 256, [&](int64_t first, int64_t last) {
    for (int row = int(first); row < int(last); ++row) {
      float* to = &rows[row * length];
      const Box box = coder.decode(deltas_of_row(from.deltas, row), anchors[row % anchors.size()]);
      const CentreBox b = centre(clipped(box, width, height));
      to[kX] = b.x / width, to[kY] = b.y / height, to[kW] = b.w / width, to[kH] = b.h / height;
      to[kObjectness] = 1;
      const float* logits = &from.logits[row * classes];
      const RowSoftmax softmax(logits, classes);
      for (int c = 1; c < classes; ++c) to[kClasses + c - 1] = softmax.probability(logits[c]);
    }
  });
}

}  // namespace osprey
