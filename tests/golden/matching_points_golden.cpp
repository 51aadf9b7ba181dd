// Which truth each point is matched with, by what a head predicts there, against the authors' codes.
#include "cuda/matching_ota.h"
#include "cuda/matching_simota.h"
#include "tests/cuda/matching_points.h"
#include "tests/golden/golden.h"

namespace osprey {
namespace {

std::vector<Box> boxes_of(const std::vector<float>& corners) {
  std::vector<Box> boxes;
  for (size_t i = 0; i + 3 < corners.size(); i += 4)
    boxes.push_back({corners[i], corners[i + 1], corners[i + 2], corners[i + 3]});
  return boxes;
}

Box cell_about(float x, float y, float stride) {
  return {x - stride / 2, y - stride / 2, x + stride / 2, y + stride / 2};
}

// mmdetection gives points with their strides, the others columns and rows (`grid`) or points beside strides.
std::vector<Box> cells(const golden::Case& c) {
  std::vector<Box> all;
  if (c.has("priors")) {
    const std::vector<float> priors = c.floats("priors");
    for (size_t i = 0; i + 3 < priors.size(); i += 4)
      all.push_back(cell_about(priors[i], priors[i + 1], priors[i + 2]));
    return all;
  }
  const std::vector<float> strides = c.floats("stride"), grid = c.floats(c.has("grid") ? "grid" : "points");
  for (size_t i = 0; i < strides.size(); ++i) {
    const float s = strides[i], x = grid[2 * i], y = grid[2 * i + 1];
    all.push_back(c.has("grid") ? cell_about((x + .5f) * s, (y + .5f) * s, s) : cell_about(x, y, s));
  }
  return all;
}

template <class T>
View<T> row(std::vector<T>& values) {
  return {values.data(), {1, 1, 1, int(values.size())}};
}

GOLDEN_ON_DEVICES(simota) {
  const bool yolox = c.has("cls_logits");
  SimOtaRule rule = yolox ? SimOtaRule::yolox() : SimOtaRule();
  rule.radius = c.param("center_radius", rule.radius);
  rule.best_overlaps = c.param(yolox ? "topk_iou" : "candidate_topk", rule.best_overlaps);
  rule.overlap_weight = c.param("iou_weight", rule.overlap_weight);
  rule.class_weight = c.param("cls_weight", rule.class_weight);
  rule.outside_cost = c.param(yolox ? "non_center_cost" : "INF", rule.outside_cost);

  const test::OwnPoints points(cells(c), boxes_of(c.floats("pred_boxes")),
                               c.floats(yolox ? "cls_logits" : "scores"),
                               yolox ? c.floats("obj_logits") : std::vector<float>());
  const std::vector<Box> gt = boxes_of(c.floats("gt"));
  const int capacity = std::max(int(gt.size()), 1), count = points.count();
  const test::OwnBoxLists truths({gt}, capacity);
  std::vector<int> labels = c.ints("gt_labels"), last(static_cast<size_t>(capacity)),
                   match(static_cast<size_t>(count));
  labels.resize(size_t(capacity));
  std::vector<float> cost(size_t(count * capacity)), overlap(match.size());
  Stream s{device};
  on(s, cpu::simota_matching, cuda::simota_matching)(s, points.predictions, truths.lists, row(labels), rule,
                                                     View<float>(cost.data(), {1, 1, capacity, count}),
                                                     row(last), row(match), row(overlap));
  if (yolox) {
    c.expect("matched_gt", match);
    c.expect("matched_iou", overlap);
    for (int& m : match) m = m != kBackground;
    c.expect("fg", match);
    return;
  }
  for (size_t p = 0; p < match.size(); ++p) {  // truths count from 1, and background has no overlap
    overlap[p] = match[p] == kBackground && !gt.empty() ? -1 : overlap[p];
    ++match[p];
  }
  c.expect("gt_inds", match);
  c.expect("max_overlaps", overlap);
}

std::vector<double> doubles(const std::vector<float>& values) { return {values.begin(), values.end()}; }

GOLDEN_ON_DEVICES(sinkhorn) {
  const std::vector<int> shape = c.shape("cost");
  const int m = shape[0], customers = shape[1];
  const std::vector<double> cost = doubles(c.floats("cost"));
  const std::vector<float> supply = c.floats("mu"), demand = c.floats("nu");
  std::vector<double> u(supply.size()), v(demand.size());
  std::vector<float> plan(cost.size());
  const Shape of_plan = {1, 1, m, customers};
  const Transport transport = {{cost.data(), of_plan},
                               {supply.data(), {1, 1, 1, m}},
                               {demand.data(), {1, 1, 1, customers}},
                               {},
                               row(u),
                               row(v)};
  const SinkhornRule rule = {c.params().at("eps"), c.params().at("iters")};
  Stream s{device};
  on(s, cpu::sinkhorn, cuda::sinkhorn)(s, transport, rule);
  on(s, cpu::transport_plan, cuda::transport_plan)(s, transport, rule, View<float>(plan.data(), of_plan));
  c.expect("pi", plan);
}

OtaRule ota_rule(const golden::Case& c) {
  OtaRule rule;
  rule.radius = c.param("center_radius", rule.radius);
  rule.overlap_weight = c.param("reg_weight", rule.overlap_weight);
  rule.outside_cost = c.param("non_center_cost", rule.outside_cost);
  rule.best_overlaps = c.param("top_candidates", rule.best_overlaps);
  rule.sinkhorn = {c.param("eps", rule.sinkhorn.eps), c.param("iters", rule.sinkhorn.iterations)};
  const std::vector<float> focal = c.param("focal", std::vector<float>{rule.alpha, rule.gamma});
  rule.alpha = focal[0];
  rule.gamma = focal[1];
  return rule;
}

// Predictions are distances from the point to left, top, right and bottom.
std::vector<Box> boxes_about(const std::vector<Box>& cells, const std::vector<float>& ltrb) {
  std::vector<Box> boxes;
  for (size_t i = 0; i < cells.size(); ++i) {
    const CentreBox point = centre(cells[i]);
    const float* d = &ltrb[4 * i];
    boxes.push_back({point.x - d[0], point.y - d[1], point.x + d[2], point.y + d[3]});
  }
  return boxes;
}

GOLDEN_ON_DEVICES(ota) {
  const test::OwnPoints points(cells(c), boxes_about(cells(c), c.floats("ltrb")), c.floats("cls_logits"), {});
  const std::vector<Box> gt = boxes_of(c.floats("gt"));
  const int truths = int(gt.size()), rows = truths + 1, count = points.count();
  const test::OwnBoxLists lists({gt}, truths);
  std::vector<int> labels = c.ints("gt_labels"), used(1), match(static_cast<size_t>(count));
  const Shape of_cost = {1, 1, rows, count};
  std::vector<double> cost(size_t(rows * count)), u(static_cast<size_t>(rows)), v(match.size()),
      largest(u.size());
  std::vector<float> supply(u.size()), overlap(match.size()), plan(cost.size());
  const OtaScratch scratch = {
      {cost.data(), of_cost}, row(supply), {used.data(), {1, 1, 1, 1}}, row(u), row(v), row(largest)};
  const OtaRule rule = ota_rule(c);
  Stream s{device};
  on(s, cpu::ota_matching, cuda::ota_matching)(s, points.predictions, lists.lists, row(labels), rule, scratch,
                                               row(match), row(overlap));
  on(s, cpu::transport_plan, cuda::transport_plan)(s, scratch.transport(), rule.sinkhorn,
                                                   View<float>(plan.data(), of_cost));
  c.expect("mu", supply);
  c.expect("cost", cost);
  c.expect("pi", plan);
  std::vector<int> classes;
  for (int& m : match) {
    classes.push_back(m == kBackground ? c.params().at("num_classes").get<int>() : labels[size_t(m)]);
    m = m == kBackground ? truths : m;
  }
  c.expect("matched_gt", match);
  c.expect("gt_class", classes);
}

}  // namespace
}  // namespace osprey
