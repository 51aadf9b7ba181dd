// COCO's metrics against pycocotools, and AI-TOD's, which differ in sizes and in the number of detections.
#include "train/metrics/coco.h"

#include <cmath>
#include <map>
#include <set>

#include "tests/golden/golden.h"
#include "train/metrics/aitod.h"

namespace osprey {
namespace {

std::vector<Rectangle> rectangles(const std::vector<double>& xywh) {
  std::vector<Rectangle> all;
  for (size_t i = 0; i + 3 < xywh.size(); i += 4)
    all.push_back({xywh[i], xywh[i + 1], xywh[i + 2], xywh[i + 3]});
  return all;
}

struct Evaluated {
  std::vector<TruthBox> truths;
  std::vector<DetectedBox> detections;
  int classes = 0;
};

// Category ids begin at 1, and those that only detections have are classes too.
Evaluated evaluated(const golden::Case& c) {
  Evaluated e;
  const std::vector<int> gt_image = c.ints("gt_image"), gt_category = c.ints("gt_category");
  const std::vector<int> crowd = c.ints("gt_iscrowd"), dt_image = c.ints("dt_image");
  const std::vector<int> dt_category = c.ints("dt_category");
  const std::vector<double> gt_area = c.array("gt_area").doubles(), score = c.array("dt_score").doubles();
  const std::vector<Rectangle> gt_box = rectangles(c.array("gt_bbox_xywh").doubles());
  const std::vector<Rectangle> dt_box = rectangles(c.array("dt_bbox_xywh").doubles());
  std::set<int> categories(gt_category.begin(), gt_category.end());
  categories.insert(dt_category.begin(), dt_category.end());
  const auto class_of = [&](int id) { return int(std::distance(categories.begin(), categories.find(id))); };
  for (size_t i = 0; i < gt_image.size(); ++i) {
    e.truths.push_back({gt_image[i], class_of(gt_category[i]), gt_box[i], false, crowd[i] != 0, gt_area[i]});
  }
  for (size_t i = 0; i < dt_image.size(); ++i) {
    e.detections.push_back({dt_image[i], class_of(dt_category[i]), score[i], dt_box[i]});
  }
  e.classes = int(categories.size());
  return e;
}

CocoOptions options_of(const golden::Case& c) {
  CocoOptions options;
  options.recall_points = c.param("recall_points", 101);
  options.max_detections = c.param("max_dets", options.max_detections);
  const auto iou = c.param("iou", std::vector<double>{});  // first, last, step
  if (iou.size() == 3) {
    const int steps = int(std::lround((iou[1] - iou[0]) / iou[2]));
    for (int i = 0; i < steps; ++i)
      options.iou_thresholds.push_back(iou[0] + i * ((iou[1] - iou[0]) / steps));
    options.iou_thresholds.push_back(iou[1]);
  }
  if (c.params().contains("areas")) {
    options.areas.clear();
    for (const auto& range : c.params()["areas"]) options.areas.push_back({range[0], range[1]});
  }
  return options;
}

std::vector<double> cells(const CocoTable& table, bool recall) {  // [T,K,A]
  std::vector<double> values;
  for (int t = 0; t < table.thresholds; ++t) {
    for (int k = 0; k < table.classes; ++k) {
      for (int a = 0; a < table.areas; ++a) {
        values.push_back(recall ? table.recall_at(t, k, a, table.maxima - 1)
                                : table.average_precision(a, t, k));
      }
    }
  }
  return values;
}

GOLDEN_WHERE(coco_ap, "coco_ap", c.has("stats")) {
  const Evaluated e = evaluated(c);
  const CocoMetrics m = coco_metrics(e.truths, e.detections, e.classes);
  c.expect("stats", std::vector<double>{m.ap, m.ap50, m.ap75, m.ap_small, m.ap_medium, m.ap_large, m.ar1,
                                        m.ar10, m.ar100, m.ar_small, m.ar_medium, m.ar_large});
  for (int k = 0; k < e.classes; ++k) c.expect_value("per_category_AP", k, m.per_class[k]);

  const CocoTable table = coco_table(e.truths, e.detections, e.classes, options_of(c));
  c.expect("ap_by_thr_cat_area", cells(table, false));
  c.expect("recall_by_thr_cat_area", cells(table, true));
  std::vector<double> precision;
  for (int t = 0; t < table.thresholds; ++t) {
    for (int r = 0; r < table.recall_points; ++r) precision.push_back(table.precision_at(t, r, 0, 0));
  }
  c.expect("precision_cat1_all", precision);
}

// AI-TOD's sizes are named in `labels`, "all" first.
GOLDEN_WHERE(aitod_ap, "coco_ap", !c.has("stats") && c.params().contains("labels")) {
  const Evaluated e = evaluated(c);
  const CocoTable table = coco_table(e.truths, e.detections, e.classes, options_of(c));
  const std::map<std::string, std::string> suffixes{
      {"all", ""}, {"verytiny", "vt"}, {"tiny", "t"}, {"small", "s"}, {"medium", "m"}};
  c.expect_value("AP50", table.average_precision(0, 0));
  c.expect_value("AP75", table.average_precision(0, 5));
  for (int a = 0; a < table.areas; ++a) {
    const std::string suffix = suffixes.at(c.params()["labels"].at(a));
    c.expect_value("AP" + suffix, table.average_precision(a));
    c.expect_value("AR" + suffix, table.average_recall(a, table.maxima - 1));
  }
  const AitodMetrics m = aitod_metrics(e.truths, e.detections, e.classes);
  const std::map<std::string, double> figures{{"AP", m.ap},
                                              {"AP50", m.ap50},
                                              {"AP75", m.ap75},
                                              {"APvt", m.ap_very_tiny},
                                              {"APt", m.ap_tiny},
                                              {"APs", m.ap_small},
                                              {"APm", m.ap_medium},
                                              {"AR", m.ar1500},
                                              {"ARvt", m.ar_very_tiny},
                                              {"ARt", m.ar_tiny},
                                              {"ARs", m.ar_small},
                                              {"ARm", m.ar_medium}};
  for (const auto& [key, value] : figures) c.expect_value(key, value);
}

}  // namespace
}  // namespace osprey
