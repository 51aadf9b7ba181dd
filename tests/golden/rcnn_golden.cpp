// The second stage of Fast R-CNN against torchvision, by the CPU's loops and by the kernels: its loss, and
// its detections by the layer [rcnn] itself.
#include "cuda/losses.h"
#include "cuda/rcnn.h"
#include "models/detections.h"
#include "tests/golden/golden.h"
#include "tests/layers/harness.h"

namespace osprey {
namespace {

template <class T>
View<T> rows(std::vector<T>& v, int channels = 1) {
  return {v.data(), {int(v.size()) / channels, 1, 1, channels}};
}

// The case gives deltas to aim at, we the box of a truth: that which has these deltas.
GOLDEN_ON_DEVICES(fast_rcnn_loss) {
  RcnnRule rule;
  rule.classes = int(c.params().at("num_classes_with_bg")) - 1;
  rule.background_first = c.param("bg", 0) == 0;
  rule.box_loss.beta = c.param("smooth_l1_beta", 1.0f / 9);
  std::vector<float> logits = c.floats("class_logits"), deltas = c.floats("box_regression");
  const std::vector<float> aims = c.floats("targets");
  std::vector<int> labels = c.ints("labels");
  const int count = int(labels.size());
  rule.deltas = int(deltas.size()) / count;

  std::vector<float> table(size_t(count * kRoiEntries)), truths(aims.size());
  const View<float> roi_rows = {table.data(), {1, 1, count, kRoiEntries}};
  const RoiRow roi = {{0, 0, 8, 8}, 1, kBackground};
  for (int i = 0; i < count; ++i) {
    set_roi(roi_rows, i, roi);
    set_row(rows(truths, 4), i, rule.coder.decode(deltas_at(&aims[size_t(4 * i)]), roi.box));
  }
  std::vector<float> class_weights(labels.size()), box_weights(labels.size());
  const RoiTargets targets = {rows(labels), rows(truths, 4), rows(class_weights), rows(box_weights)};
  std::vector<float> of_class(labels.size()), of_box(labels.size()), overlaps(labels.size());
  const RoiLosses losses = {rows(of_class), rows(of_box), rows(overlaps)};
  std::vector<float> costs(labels.size()), dlogits(logits.size()), ddeltas(deltas.size());
  LossReport report;
  Stream s{device};
  on(s, cpu::rcnn_weights, cuda::rcnn_weights)(s, 1, rule, targets);
  on(s, cpu::cross_entropy, cuda::cross_entropy)(s, rows(logits, rule.classes + 1), targets.labels,
                                                 RowClasses(), losses.of_class);
  on(s, cpu::rcnn_box_losses, cuda::rcnn_box_losses)(s, rows(deltas, rule.deltas), roi_rows, targets, rule,
                                                     losses);
  on(s, cpu::rcnn_report, cuda::rcnn_report)(s, targets, losses, rule, rows(costs), &report);
  on(s, cpu::cross_entropy_backward, cuda::cross_entropy_backward)(
      s, rows(logits, rule.classes + 1), targets.labels, RowClasses(), targets.class_weights,
      rows(dlogits, rule.classes + 1));
  on(s, cpu::rcnn_box_backward, cuda::rcnn_box_backward)(s, rows(deltas, rule.deltas), roi_rows, targets,
                                                         rule, rows(ddeltas, rule.deltas));
  c.expect("loss_cls", std::vector<double>{report.class_loss});
  c.expect("loss_box", std::vector<double>{report.box_loss});
  c.expect("d_class_logits", dlogits);
  c.expect("d_box_regression", ddeltas);
}

GOLDEN_ON_DEVICES(fast_rcnn_postprocess) {
  const std::vector<int> image = c.params().at("image");  // height, width
  const std::vector<float> proposals = c.floats("proposals");
  const auto weights = c.param("coder", std::vector<float>{10, 10, 5, 5});
  const int count = int(proposals.size()) / 4, logits = c.shape("class_logits")[1],
            deltas = c.shape("box_regression")[1];
  std::vector<float> table(size_t(count * kRoiEntries));
  for (int i = 0; i < count; ++i)
    set_roi({table.data(), {1, 1, count, kRoiEntries}}, i,
            {box_of_row({proposals.data(), {count, 1, 1, 4}}, i), 1, kBackground});
  const std::string cfg = fmt::format(
      "[rcnn]\nbackground=first\nclasses={}\nclass_specific={}\nmin_size={}\ncoder_centre={}\ncoder_size={}"
      "\n",
      logits - 1, int(deltas > 4), c.param("min_size", 0.f), weights[0], weights[2]);
  SingleLayer layer(cfg, {{count, 1, 1, logits}, {count, 1, 1, deltas}, {1, 1, count, kRoiEntries}}, device,
                    false, {1, image[0], image[1], 3});
  const Values y = layer.forward({c.floats("class_logits"), c.floats("box_regression"), table});
  const std::vector<Detection> found =
      detections({{layer.layer().head(), {y.data(), layer.output()}}}, 0,
                 {c.param("score_thresh", 0.05f), c.param("nms_thresh", 0.5f), {}},
                 {Placement(), float(image[1]), float(image[0])}, {1, image[0], image[1], 3});
  std::vector<float> boxes, scores;
  std::vector<int> labels;  // counted from 1: 0 is the background
  for (const Detection& d : found) {
    if (int(scores.size()) == c.param("detections_per_img", 100)) break;
    boxes.insert(boxes.end(), {d.box.x1, d.box.y1, d.box.x2, d.box.y2});
    scores.push_back(d.score);
    labels.push_back(d.class_id + 1);
  }
  c.expect("boxes", boxes);
  c.expect("scores", scores);
  c.expect("labels", labels);
}

}  // namespace
}  // namespace osprey
