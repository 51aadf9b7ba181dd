// Region proposals and their loss, against torchvision, on both devices.
#include "cuda/matching_max_iou.h"
#include "cuda/rpn_loss.h"
#include "tests/cuda/matching_boxes.h"
#include "tests/cuda/own_proposals.h"
#include "tests/golden/golden.h"

namespace osprey {
namespace {

// The arrays are [images, anchors of all levels, ...]; ours are a map for each level.
test::OwnProposals levels_of(const golden::Case& c, const std::vector<int>& rows_of_levels) {
  const std::vector<float> anchors = c.floats("anchors"), logits = c.floats("objectness"),
                           deltas = c.floats("deltas");
  const int images = c.shape("objectness")[0], all = c.shape("objectness")[1];
  test::OwnProposals p;
  for (size_t i = 0; i + 3 < anchors.size(); i += 4)
    p.anchors.push_back({anchors[i], anchors[i + 1], anchors[i + 2], anchors[i + 3]});
  int first = 0;
  for (const int rows : rows_of_levels) {
    std::vector<float> of_level, boxes;
    for (int n = 0; n < images; ++n) {
      const size_t at = size_t(n * all + first);
      of_level.insert(of_level.end(), logits.begin() + at, logits.begin() + at + rows);
      boxes.insert(boxes.end(), deltas.begin() + 4 * at, deltas.begin() + 4 * (at + rows));
    }
    p.add_level({images, 1, rows, 1}, of_level, boxes);
    first += rows;
  }
  return p;
}

GOLDEN_ON_DEVICES(rpn_proposals) {
  test::OwnProposals p = levels_of(c, c.params().at("num_per_level"));
  const auto sizes = c.params().at("image_sizes").get<std::vector<std::vector<float>>>();
  for (const auto& size : sizes) p.sizes.insert(p.sizes.end(), {size[1], size[0]});  // from height, width
  const auto weights = c.param("coder", std::vector<float>{1, 1, 1, 1});
  p.rule.coder.centre_weight = weights[0];
  p.rule.coder.size_weight = weights[2];
  p.rule.nms_threshold = c.params().at("nms_thresh");
  p.rule.min_size = c.param("min_size", 0.f);
  p.rule.min_score = c.param("score_thresh", 0.f);
  const int post_nms = c.params().at("post_nms_top_n");
  const std::vector<float> table = p.run(device, c.params().at("pre_nms_top_n"), post_nms);
  for (size_t n = 0; n < sizes.size(); ++n) {
    std::vector<float> boxes, scores;
    for (int r = 0; r < post_nms; ++r) {
      const RoiRow roi = roi_of_row({table.data(), {1, 1, int(table.size()) / kRoiEntries, kRoiEntries}},
                                    int(n) * post_nms + r);
      if (roi.match == kNoRoi) continue;
      boxes.insert(boxes.end(), {roi.box.x1, roi.box.y1, roi.box.x2, roi.box.y2});
      scores.push_back(roi.score);
    }
    c.expect("boxes" + std::to_string(n), boxes);
    c.expect("scores" + std::to_string(n), scores);
  }
}

// The truths of each image; those without an array have none.
std::vector<std::vector<Box>> truths_of(const golden::Case& c, int images) {
  std::vector<std::vector<Box>> truths(static_cast<size_t>(images));
  for (int n = 0; n < images; ++n) {
    const std::string name = "gt" + std::to_string(n);
    const std::vector<float> corners = c.has(name) ? c.floats(name) : std::vector<float>();
    for (size_t i = 0; i + 3 < corners.size(); i += 4)
      truths[size_t(n)].push_back({corners[i], corners[i + 1], corners[i + 2], corners[i + 3]});
  }
  return truths;
}

// Which anchors learn what, by torchvision's rule; it asks the deltas of all, from the first truth for want
// of another.
struct Matched {
  Matched(const golden::Case& c, const test::OwnProposals& p, Device device, int images)
      : truths(truths_of(c, images)), lists(truths, 100), match(size_t(images) * p.anchors.size()) {
    const int all = int(p.anchors.size());
    std::vector<float> overlap(match.size()), best(size_t(images) * 100);
    Stream s{device};
    MaxIouRule rule;
    rule.foreground = c.param("fg", .7f);
    rule.background = c.param("bg", .3f);
    rule.low_quality = LowQuality::own_truth;
    on(s, cpu::max_iou_matching, cuda::max_iou_matching)(
        s, p.anchor_row(), lists.lists, BoxLists{}, rule, View<float>(best.data(), {images, 1, 1, 100}),
        View<int>(match.data(), {images, 1, 1, all}), View<float>(overlap.data(), {images, 1, 1, all}));
  }
  std::vector<int> labels() const {
    std::vector<int> labels;
    for (const int m : match) labels.push_back(m >= 0 ? 1 : m == kBackground ? 0 : -1);
    return labels;
  }
  std::vector<float> targets(const test::OwnProposals& p, const BoxCoder& coder) const {
    std::vector<float> all;
    for (size_t n = 0; n < truths.size(); ++n)
      for (size_t a = 0; a < p.anchors.size(); ++a) {
        const int m = match[n * p.anchors.size() + a];
        Deltas d;
        if (!truths[n].empty()) d = coder.encode(truths[n][size_t(std::max(m, 0))], p.anchors[a]);
        all.insert(all.end(), {d.x, d.y, d.w, d.h});
      }
    return all;
  }

  std::vector<std::vector<Box>> truths;
  test::OwnBoxLists lists;
  std::vector<int> match;
};

// The loss of the case is the mean over its images, ours the sum.
GOLDEN_ON_DEVICES(rpn_loss) {
  const int images = c.shape("objectness")[0], all = c.shape("objectness")[1];
  test::OwnProposals p = levels_of(c, {all});
  const Matched matched(c, p, device, images);
  c.expect("labels", matched.labels());
  RpnLossRule rule;
  rule.box_loss.beta = c.params().at("smooth_l1_beta");
  rule.box_weight = c.param("box_weight", 1.f);
  c.expect("reg_targets", matched.targets(p, rule.coder));

  const std::vector<int> positives = c.ints("pos_sampled"), negatives = c.ints("neg_sampled");
  std::vector<int> sampled(size_t(images * all), -1), counts;
  for (int n = 0; n < images; ++n) {
    counts.push_back(0);
    for (int a = 0; a < all; ++a)
      if (positives[size_t(n * all + a)] || negatives[size_t(n * all + a)])
        sampled[size_t(n * all + counts.back()++)] = a;
  }
  const RpnTargets targets = {p.anchor_row(),
                              {matched.match.data(), {images, 1, 1, all}},
                              matched.lists.lists,
                              {sampled.data(), {images, 1, 1, all}},
                              {counts.data(), {images, 1, 1, 1}}};
  std::vector<float> slopes(sampled.size() * kRpnSlopes);
  const View<float> of_sampled(slopes.data(), {images, 1, all, kRpnSlopes});
  LossReport report;
  Stream s{device};
  on(s, cpu::rpn_loss, cuda::rpn_loss)(s, p.maps(), targets, rule, of_sampled, &report);
  c.expect("loss_objectness", std::vector<double>{report.objectness_loss / images});
  c.expect("loss_box", std::vector<double>{report.box_loss / images});

  test::OwnProposals gradients = p;
  for (auto* values : {&gradients.objectness[0], &gradients.deltas[0]})
    std::fill(values->begin(), values->end(), 0.f);
  on(s, cpu::rpn_loss_backward, cuda::rpn_loss_backward)(s, gradients.maps(), targets.sampled, targets.counts,
                                                         of_sampled);
  for (auto* values : {&gradients.objectness[0], &gradients.deltas[0]})
    for (float& v : *values) v /= float(images);
  c.expect("d_objectness", gradients.objectness[0]);
  c.expect("d_deltas", gradients.deltas[0]);
}

}  // namespace
}  // namespace osprey
