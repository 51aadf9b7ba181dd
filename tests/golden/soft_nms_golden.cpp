// Soft-NMS: which boxes are left, in the order of selection, with what scores, as mmcv and the authors have
// it.
#include "cuda/soft_nms.h"
#include "tests/golden/golden.h"

namespace osprey {
namespace {

std::vector<Box> boxes(const std::vector<float>& corners) {
  std::vector<Box> all;
  for (size_t i = 0; i + 3 < corners.size(); i += 4)
    all.push_back({corners[i], corners[i + 1], corners[i + 2], corners[i + 3]});
  return all;
}

struct Selection {
  std::vector<int> order;
  std::vector<float> scores;  // of those in `order`
};

Selection select(const std::vector<Box>& boxes, std::vector<float> scores, SoftNmsRule rule, Device device) {
  const int count = int(boxes.size());
  const Shape shape = {1, 1, 1, count}, one = {1, 1, 1, 1};
  Selection s;
  s.order.resize(count);
  int selected = 0;
  Stream stream{device};
  on(stream, cpu::soft_nms, cuda::soft_nms)(stream,
                                            SoftNmsLists{{boxes.data(), shape},
                                                         {&count, one},
                                                         {scores.data(), shape},
                                                         {s.order.data(), shape},
                                                         {&selected, one}},
                                            rule);
  s.order.resize(selected);
  for (int i : s.order) s.scores.push_back(scores[i]);
  return s;
}

// The authors' boxes have their last pixels inside, and only more than the threshold costs score.
GOLDEN_ON_DEVICES(soft_nms) {
  const bool authors = c.param("offset", 0) == 1;
  const auto method = c.param<std::string>("method", "");
  SoftNmsRule rule;
  rule.kind = method == "hard"       ? SoftNmsKind::hard
              : method == "gaussian" ? SoftNmsKind::gaussian
                                     : SoftNmsKind::linear;
  rule.threshold = c.param(authors ? "Nt" : "iou_threshold", -1.0f);
  rule.from_threshold = !authors;
  rule.sigma = c.param("sigma", -1.0f);
  rule.min_score = c.param(authors ? "threshold" : "min_score", -1.0f);

  const std::vector<Box> given = boxes(c.floats("boxes"));
  std::vector<Box> ours = given;
  for (Box& box : ours)
    if (authors) box = from_inclusive(box);
  const Selection selection = select(ours, c.floats("scores"), rule, device);
  if (c.has("keep")) c.expect("keep", selection.order);
  std::vector<float> detections;
  for (size_t i = 0; i < selection.order.size(); ++i) {
    const Box box = given[selection.order[i]];
    for (float value : {box.x1, box.y1, box.x2, box.y2, selection.scores[i]}) detections.push_back(value);
  }
  c.expect("dets", detections);
}

}  // namespace
}  // namespace osprey
