// PASCAL VOC's average precision against detectron2's, and the two averages of a curve against worked
// examples.
#include "train/metrics/voc.h"

#include "tests/golden/golden.h"

namespace osprey {
namespace {

// A column of the expected array says its rule in words: "AP07 11-point @0.5", "AP all-point @0.75".
struct Rule {
  VocPoints points;
  double threshold;
};
Rule rule_of(const std::string& column) {
  return {column.find("11-point") != std::string::npos ? VocPoints::eleven : VocPoints::all,
          std::stod(column.substr(column.find('@') + 1))};
}

GOLDEN(voc_ap) {
  const std::vector<int> gt_image = c.ints("gt_image"), gt_class = c.ints("gt_class");
  const std::vector<int> difficult = c.ints("gt_difficult"), dt_image = c.ints("dt_image");
  const std::vector<int> dt_class = c.ints("dt_class");
  const std::vector<double> gt = c.array("gt_box").doubles(), dt = c.array("dt_box").doubles();
  const std::vector<double> score = c.array("dt_score").doubles();
  std::vector<TruthBox> truths;  // of classes 1, 2 ..
  std::vector<DetectedBox> detections;
  for (size_t i = 0; i < gt_image.size(); ++i) {
    const Rectangle box = rectangle_of_inclusive(gt[4 * i], gt[4 * i + 1], gt[4 * i + 2], gt[4 * i + 3]);
    truths.push_back({gt_image[i], gt_class[i] - 1, box, difficult[i] != 0, false, area(box)});
  }
  for (size_t i = 0; i < dt_image.size(); ++i) {
    const Rectangle box = rectangle_of_inclusive(dt[4 * i], dt[4 * i + 1], dt[4 * i + 2], dt[4 * i + 3]);
    detections.push_back({dt_image[i], dt_class[i] - 1, score[i], box});
  }

  const int classes = c.shape("ap")[0];
  const std::vector<std::string> columns = c.params()["columns"];
  std::vector<VocMetrics> metrics;
  for (const std::string& column : columns) {
    const Rule rule = rule_of(column);
    metrics.push_back(voc_metrics(truths, detections, classes, rule.points, rule.threshold));
  }
  std::vector<double> ap;
  for (int k = 0; k < classes; ++k) {
    for (const VocMetrics& m : metrics) ap.push_back(m.per_class[k].ap);
  }
  c.expect("ap", ap);
  c.expect("recall_c1", metrics[0].per_class[0].curve.recall);
  c.expect("precision_c1", metrics[0].per_class[0].curve.precision);
}

// Arrays tp_X with npos_X truths; apall_X or ap_X_allpoint, and ap11_X are their averages. (slide_X is what a
// slide printed for ten of the eleven points.)
GOLDEN(ap_curve) {
  int compared = 0;
  for (const auto& [key, value] : c.values().items()) {
    if (!key.starts_with("npos_")) continue;
    const std::string example = key.substr(5);
    const std::vector<int> tp = c.ints("tp_" + example);
    std::vector<Outcome> ranking;
    for (int is_true : tp) ranking.push_back(is_true ? Outcome::is_true : Outcome::is_false);
    const PrecisionRecall curve = precision_recall(ranking, value.get<int>());
    const double all = average_precision_all_points(curve);
    if (c.has_value("apall_" + example)) c.expect_value("apall_" + example, all), ++compared;
    if (c.has_value("ap_" + example + "_allpoint"))
      c.expect_value("ap_" + example + "_allpoint", all), ++compared;
    if (c.has_value("ap11_" + example)) {
      c.expect_value("ap11_" + example, average_precision_11_points(curve)), ++compared;
    }
  }
  EXPECT_GT(compared, 0) << c.name();
}

}  // namespace
}  // namespace osprey
