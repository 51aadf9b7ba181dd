// Region proposals and their loss, against torchvision, on both devices.
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

}  // namespace
}  // namespace osprey
