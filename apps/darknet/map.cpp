// detector map: AlexeyAB's table of average precision, of a network or of recorded detections.
#include <fmt/core.h>

#include "apps/darknet/commands.h"
#include "apps/evaluation.h"
#include "train/metrics/darknet_map.h"
#include "train/metrics/recorded.h"

namespace osprey::darknet {
namespace {

void print_table(const DarknetMap& m, const std::vector<std::string>& names,
                 const DarknetMapOptions& options) {
  fmt::print("\n detections_count = {}, unique_truth_count = {}  \n", m.detections, m.truths);
  for (size_t i = 0; i < names.size(); ++i) {
    const DarknetClass& c = m.per_class[i];
    fmt::print("class_id = {}, name = {}, ap = {:2.2f}%   \t (TP = {}, FP = {}) \n", i, names[i], 100 * c.ap,
               c.true_positives, c.false_positives);
  }
  fmt::print("\n for conf_thresh = {:.2f}, precision = {:.2f}, recall = {:.2f}, F1-score = {:.2f} \n",
             options.confidence, m.precision, m.recall, m.f1);
  fmt::print(" for conf_thresh = {:.2f}, TP = {}, FP = {}, FN = {}, average IoU = {:.2f} % \n",
             options.confidence, m.true_positives, m.false_positives, m.false_negatives, 100 * m.average_iou);
  const std::string how = options.points == 0 ? "Area-Under-Curve for each unique Recall"
                                              : fmt::format("{} Recall-points", options.points);
  fmt::print("\n IoU threshold = {:2.0f} %, used {} \n", 100 * options.iou_threshold, how);
  fmt::print(" mean average precision (mAP@{:.2f}) = {:f}, or {:2.2f} % \n", options.iou_threshold, m.map,
             100 * m.map);
}

// The boxes of the label files beside the images of the list `difficult` count as difficult; the lists are of
// one order.
void add_difficult(Dataset& dataset, DataFile data) {
  if (data.difficult.empty() || data.format != Format::darknet) return;
  data.valid = data.difficult;
  const Dataset difficult = load_dataset(data, Split::valid);
  if (difficult.samples.size() != dataset.samples.size())
    fail("{}: `difficult` lists {} images, `valid` {}: they must name the same ones in the same order",
         data.path, difficult.samples.size(), dataset.samples.size());
  for (size_t i = 0; i < dataset.samples.size(); ++i)
    for (Label label : difficult.samples[i].labels) {
      label.difficult = true;
      dataset.samples[i].labels.push_back(label);
    }
}

void map_of_network(Arguments& a, const DarknetMapOptions& options) {
  const auto at = a.places({"DATA", "CFG", "WEIGHTS"}, 2);
  const LoadOptions load = load_options(a, at[1], at[2]);
  const bool letterbox = a.flag("letter_box"), strict = a.flag("strict");
  a.finish();
  Subject subject = load_subject(load, at[0], split_to_measure(at[0]), strict);
  check_classes(*subject.network, subject.dataset, at[0], ClassesOf::detections);
  add_difficult(subject.dataset, subject.data);
  fmt::print("\n calculation mAP (mean average precision)...\n");
  const Fit fit = letterbox ? Fit::letterbox : fit_of(subject.network->net());
  const Evaluated found = detect_with_progress("map", subject, map_options(fit));
  const std::vector<std::string>& names = subject.dataset.names;
  print_table(darknet_map(found.truths, found.detections, int(names.size()), options), names, options);
}

}  // namespace

void map(Arguments& a) {
  DarknetMapOptions options;
  options.points = a.integer("points", 0, 0);
  options.iou_threshold = a.real("iou_thresh", 0.5f);
  options.confidence = a.real("thresh", 0.25f);
  check(options);
  const std::string truth = a.text("truth"), detections = a.text("detections");
  if (truth.empty() && detections.empty()) return map_of_network(a, options);
  if (truth.empty() || detections.empty()) a.fail("--truth and --detections belong together");
  a.places({}, 0);
  a.finish();
  const Recorded r = read_recorded(truth, detections);
  fmt::print("\n calculation mAP (mean average precision)...\n");
  print_table(darknet_map(r.truths, r.detections, int(r.class_names.size()), options), r.class_names,
              options);
}

}  // namespace osprey::darknet
