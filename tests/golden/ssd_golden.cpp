// The loss of SSD as torchvision has it, from the boxes of anchors and truths to the gradients.
#include <algorithm>

#include "cuda/losses.h"
#include "cuda/matching_ssd.h"
#include "cuda/sampler.h"
#include "cuda/ssd.h"
#include "tests/golden/golden.h"

namespace osprey {
namespace {

using golden::Case;

std::vector<Box> boxes(const std::vector<float>& corners) {
  std::vector<Box> all;
  for (size_t i = 0; i + 3 < corners.size(); i += 4)
    all.push_back({corners[i], corners[i + 1], corners[i + 2], corners[i + 3]});
  return all;
}

// Of arrays gt0, labels0, gt1, ... for each image; labels of the case count from 1, as background is 0.
struct OwnTruths {
  OwnTruths(const Case& c, int images) {
    int capacity = 1;
    for (int n = 0; n < images; ++n) capacity = std::max(capacity, c.shape("gt" + std::to_string(n)).at(0));
    for (int n = 0; n < images; ++n) {
      const std::vector<Box> own = boxes(c.floats("gt" + std::to_string(n)));
      const std::vector<int> classes = c.ints("labels" + std::to_string(n));
      counts.push_back(int(own.size()));
      all.insert(all.end(), own.begin(), own.end());
      all.resize(size_t(n + 1) * capacity);
      for (int label : classes) labels.push_back(label - 1);
      labels.resize(size_t(n + 1) * capacity);
    }
    lists.boxes = {all.data(), {images, 1, 1, capacity}};
    lists.labels = {labels.data(), {images, 1, 1, capacity}};
    lists.counts = {counts.data(), {images, 1, 1, 1}};
  }
  std::vector<Box> all;
  std::vector<int> labels, counts;
  TruthLists lists;
};

GOLDEN_ON_DEVICES(ssd_loss) {
  const std::vector<int> shape = c.shape("cls_logits");
  const int images = shape[0], rows = shape[1], classes = shape[2];
  const auto with = [&](int channels) { return Shape{images, 1, rows, channels}; };
  const Shape row{images, 1, 1, rows};
  OwnTruths truths(c, images);
  const std::vector<Box> anchors = boxes(c.floats("priors"));
  const View<const Box> all_anchors(anchors.data(), {1, 1, 1, rows});
  SsdRule rule;
  const auto coder = c.param("coder", std::vector<float>{10, 10, 5, 5});
  rule.coder.centre_weight = coder.at(0);
  rule.coder.size_weight = coder.at(2);
  rule.box_loss.beta = c.param("beta", 1.0f);
  Stream s{device};

  std::vector<int> chosen(truths.all.size()), match(row.size()), labels(row.size()), counts(2 * images);
  on(s, cpu::ssd_matching, cuda::ssd_matching)(s, all_anchors, truths.lists.lists(), c.param("iou", 0.5f),
                                               View<int>(chosen.data(), truths.lists.boxes.shape),
                                               View<int>(match.data(), row), SsdMatching::each);
  c.expect("matched", match);
  on(s, cpu::ssd_labels, cuda::ssd_labels)(s, all_anchors, truths.lists, 2, View<int>(match.data(), row),
                                           View<int>(labels.data(), with(1)));

  std::vector<float> logits = c.floats("cls_logits"), deltas = c.floats("bbox_regression");
  std::vector<float> costs(row.size()), weights(row.size()), losses(images);
  std::vector<float> logit_gradients(logits.size(), 7), delta_gradients(deltas.size(), 7);
  const SsdRows from{{logits.data(), with(classes)}, {deltas.data(), with(4)}};
  on(s, cpu::cross_entropy, cuda::cross_entropy)(s, from.logits, View<const int>(labels.data(), with(1)),
                                                 RowClasses{}, View<float>(costs.data(), with(1)));
  on(s, cpu::sample_hard, cuda::sample_hard)(
      s, View<const int>(match.data(), row), View<const float>(costs.data(), row),
      HardNegativeRule{c.param("neg_pos_ratio", 3.0f)}, View<float>(weights.data(), row),
      View<int>(counts.data(), {images, 1, 1, 2}));

  const int parts = ssd_parts_of_image(rows);
  std::vector<LossReport> reports(size_t(images) * parts);
  LossReport report;
  on(s, cpu::ssd_loss, cuda::ssd_loss)(
      s, from, SsdTargets{all_anchors, {match.data(), row}, truths.lists},
      SsdSample{{labels.data(), with(1)},
                {costs.data(), with(1)},
                {weights.data(), row},
                {counts.data(), {images, 1, 1, 2}}},
      rule, View<LossReport>(reports.data(), {images, 1, 1, parts}),
      SsdGradients{{logit_gradients.data(), with(classes)}, {delta_gradients.data(), with(4)}},
      View<float>(losses.data(), {images, 1, 1, 1}), &report);
  // What is divided by the positives of the mini-batch counts once for each of its images.
  for (float& g : logit_gradients) g /= float(images);
  for (float& g : delta_gradients) g /= float(images);
  c.expect("loss_box", std::vector<double>{report.box_loss / images});
  c.expect("loss_cls", std::vector<double>{report.class_loss / images});
  c.expect("d_cls_logits", logit_gradients);
  c.expect("d_bbox_regression", delta_gradients);
}

}  // namespace
}  // namespace osprey
