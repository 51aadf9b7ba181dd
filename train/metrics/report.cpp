#include "train/metrics/report.h"

#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "core/json_text.h"

namespace osprey {

namespace {

using nlohmann::ordered_json;

std::string percent(double fraction) { return fraction < 0 ? "-" : fmt::format("{:.2f}", 100 * fraction); }

// Rows "name  value", values under each other.
void print_classes(const std::vector<std::string>& names, const std::vector<double>& fractions,
                   const char* title) {
  size_t width = 5;
  for (const std::string& name : names) width = std::max(width, name.size());
  fmt::print("{:<{}}  {:>6}\n", "class", width, title);
  for (size_t i = 0; i < names.size(); ++i)
    fmt::print("{:<{}}  {:>6}\n", names[i], width, percent(fractions[i]));
}

template <class Class>
std::vector<double> averages(const std::vector<Class>& per_class) {
  std::vector<double> all;
  for (const Class& c : per_class) all.push_back(c.ap);
  return all;
}

// Names may repeat, and JSON's keys may not: the later ones get their number.
ordered_json by_name(const std::vector<std::string>& names, const std::vector<double>& fractions) {
  ordered_json object = ordered_json::object();
  for (size_t i = 0; i < names.size(); ++i) {
    const std::string key = object.contains(names[i]) ? fmt::format("{} ({})", names[i], i) : names[i];
    object[key] = fractions[i];
  }
  return object;
}

template <class Metrics>
struct Figure {
  const char* key;
  const char* meaning;
  double Metrics::*value;
};
constexpr Figure<CocoMetrics> kCocoFigures[] = {
    {"AP", "IoU 0.50:0.95", &CocoMetrics::ap},
    {"AP50", "IoU 0.50", &CocoMetrics::ap50},
    {"AP75", "IoU 0.75", &CocoMetrics::ap75},
    {"APs", "small objects, below 32x32 pixels", &CocoMetrics::ap_small},
    {"APm", "medium objects, below 96x96", &CocoMetrics::ap_medium},
    {"APl", "large objects", &CocoMetrics::ap_large},
    {"AR1", "1 detection an image", &CocoMetrics::ar1},
    {"AR10", "10 detections an image", &CocoMetrics::ar10},
    {"AR100", "100 detections an image", &CocoMetrics::ar100},
    {"ARs", "small objects", &CocoMetrics::ar_small},
    {"ARm", "medium objects", &CocoMetrics::ar_medium},
    {"ARl", "large objects", &CocoMetrics::ar_large}};
constexpr Figure<AitodMetrics> kAitodFigures[] = {
    {"AP", "IoU 0.50:0.95", &AitodMetrics::ap},
    {"AP50", "IoU 0.50", &AitodMetrics::ap50},
    {"AP75", "IoU 0.75", &AitodMetrics::ap75},
    {"APvt", "very tiny objects, up to 8x8 pixels", &AitodMetrics::ap_very_tiny},
    {"APt", "tiny objects, up to 16x16", &AitodMetrics::ap_tiny},
    {"APs", "small objects, up to 32x32", &AitodMetrics::ap_small},
    {"APm", "medium objects, and larger", &AitodMetrics::ap_medium},
    {"AR1", "1 detection an image", &AitodMetrics::ar1},
    {"AR100", "100 detections an image", &AitodMetrics::ar100},
    {"AR1500", "1500 detections an image", &AitodMetrics::ar1500},
    {"ARvt", "very tiny objects", &AitodMetrics::ar_very_tiny},
    {"ARt", "tiny objects", &AitodMetrics::ar_tiny},
    {"ARs", "small objects", &AitodMetrics::ar_small},
    {"ARm", "medium objects, and larger", &AitodMetrics::ar_medium}};

template <class Metrics, size_t N>
void print_figures(const Metrics& metrics, const std::vector<std::string>& names,
                   const Figure<Metrics> (&figures)[N]) {
  print_classes(names, metrics.per_class, "AP");
  fmt::print("\n");
  for (const Figure<Metrics>& f : figures)
    fmt::print("{:<6}  {:>6}  {}\n", f.key, percent(metrics.*f.value), f.meaning);
}

template <class Metrics, size_t N>
std::string figures_json(const Metrics& metrics, const std::vector<std::string>& names,
                         const Figure<Metrics> (&figures)[N]) {
  ordered_json object;
  for (const Figure<Metrics>& f : figures) object[f.key] = metrics.*f.value;
  object["per_class"] = by_name(names, metrics.per_class);
  return json_text(object);
}

}  // namespace

void print_metrics(const CocoMetrics& metrics, const std::vector<std::string>& names) {
  print_figures(metrics, names, kCocoFigures);
}

void print_metrics(const AitodMetrics& metrics, const std::vector<std::string>& names) {
  print_figures(metrics, names, kAitodFigures);
}

void print_metrics(const VocMetrics& metrics, const std::vector<std::string>& names, VocPoints points,
                   double iou_threshold) {
  print_classes(names, averages(metrics.per_class), "AP");
  fmt::print("\nmAP@{:.2f}  {} %  ({})\n", iou_threshold, percent(metrics.map),
             points == VocPoints::eleven ? "VOC 2007, 11 points" : "VOC 2010, area under the curve");
}

void print_metrics(const DarknetMap& metrics, const std::vector<std::string>& names,
                   const DarknetMapOptions& options) {
  size_t width = 5;
  for (const std::string& name : names) width = std::max(width, name.size());
  fmt::print("{:<{}}  {:>6}  {:>7}  {:>7}  {:>7}\n", "class", width, "AP", "TP", "FP", "truths");
  for (size_t i = 0; i < names.size(); ++i) {
    const DarknetClass& c = metrics.per_class[i];
    fmt::print("{:<{}}  {:>6}  {:>7}  {:>7}  {:>7}\n", names[i], width, percent(c.ap), c.true_positives,
               c.false_positives, c.truths);
  }
  fmt::print(
      "\nat confidence {:g}: precision {:.2f}, recall {:.2f}, F1 {:.2f}, TP {}, FP {}, FN {}, average IoU {} "
      "%\n",
      options.confidence, metrics.precision, metrics.recall, metrics.f1, metrics.true_positives,
      metrics.false_positives, metrics.false_negatives, percent(metrics.average_iou));
  fmt::print("mAP@{:.2f}  {} %  ({}; {} detections, {} truths)\n", options.iou_threshold,
             percent(metrics.map),
             options.points == 0 ? "area under the curve" : fmt::format("{} points", options.points),
             metrics.detections, metrics.truths);
}

std::string metrics_json(const CocoMetrics& metrics, const std::vector<std::string>& names) {
  return figures_json(metrics, names, kCocoFigures);
}

std::string metrics_json(const AitodMetrics& metrics, const std::vector<std::string>& names) {
  return figures_json(metrics, names, kAitodFigures);
}

std::string metrics_json(const VocMetrics& metrics, const std::vector<std::string>& names) {
  ordered_json object;
  object["mAP"] = metrics.map;
  object["per_class"] = by_name(names, averages(metrics.per_class));
  return json_text(object);
}

std::string metrics_json(const DarknetMap& metrics, const std::vector<std::string>& names) {
  ordered_json object;
  object["mAP"] = metrics.map;
  object["TP"] = metrics.true_positives;
  object["FP"] = metrics.false_positives;
  object["FN"] = metrics.false_negatives;
  object["precision"] = metrics.precision;
  object["recall"] = metrics.recall;
  object["F1"] = metrics.f1;
  object["average_iou"] = metrics.average_iou;
  object["per_class"] = by_name(names, averages(metrics.per_class));
  return json_text(object);
}

}  // namespace osprey
