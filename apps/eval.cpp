// osprey eval: how good a network, or recorded detections, are, by the measures of COCO, VOC and Darknet.
#include <cstdio>
#include <memory>

#include "apps/commands.h"
#include "apps/eval_recorded.h"
#include "apps/fit_options.h"
#include "apps/load.h"
#include "apps/nms_options.h"
#include "core/log.h"
#include "train/detector.h"
#include "train/metrics/proposals.h"
#include "train/progress.h"
#include "train/proposals.h"

namespace osprey {
namespace {

struct Arguments {
  LoadOptions load;
  FitOptions fit;
  std::string data, split = "valid";
  DetectionOptions detection = map_options(Fit::stretch);
  bool strict = false, proposals = false;
  RecordedOptions metric;
};

void tell_broken_images(const Evaluated& found) {
  if (found.broken_images)
    warn("{} images could not be read; their objects count as missed", found.broken_images);
}

void evaluate_network(Arguments a) {
  const DataFile data = read_data_file(a.data);
  Dataset dataset = load_dataset(data, a.split == "train" ? Split::train : Split::valid, a.strict);
  const auto network = load_network(a.load);
  if (network->takes_proposals()) find_proposals(dataset, data);
  a.detection.fit = a.fit.fit(network->net());
  Progress progress("eval", int64_t(dataset.samples.size()));
  const auto update = [&](int done) { progress.update(done, "images"); };
  if (a.proposals) {
    const Evaluated found = propose_all(*network, dataset, a.detection.fit, update);
    progress.finish();
    tell_broken_images(found);
    const ProposalRecall recall =
        proposal_recall(found.truths, found.detections, int(dataset.samples.size()) - found.broken_images);
    return a.metric.json ? void(std::puts(metrics_json(recall).c_str())) : print_metrics(recall);
  }
  check_classes(*network, a.load.cfg, dataset, a.data);
  const Evaluated found = detect_all(*network, dataset, a.detection, update);
  progress.finish();
  tell_broken_images(found);
  print_evaluation(found.truths, found.detections, dataset.names, a.metric);
}

void add_metric_options(CLI::App* command, RecordedOptions& o) {
  command
      ->add_option("--metric", o.metric,
                   "coco: COCO's twelve numbers; aitod: the same for tiny objects, as AI-TOD has them; "
                   "voc07, voc: PASCAL VOC 2007, 2010; map: as Darknet's detector map")
      ->check(CLI::IsMember({"coco", "aitod", "voc07", "voc", "map"}))
      ->capture_default_str();
  command
      ->add_option("--points", o.points, "map: 0 the area under the curve, 11 or 101 the mean over recalls")
      ->check(CLI::IsMember({0, 11, 101}))
      ->capture_default_str();
  command->add_option("--iou_thresh", o.iou_threshold, "IoU of a match (voc07, voc, map)")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command->add_option("--thresh", o.confidence, "map: score for precision and recall")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command->add_flag("--json", o.json, "one JSON object instead of tables");
}

void check_metric_options(const CLI::App& command, const RecordedOptions& o) {
  const bool map = o.metric == "map";
  if (command.count("--points") && !map) fail("--points: only with --metric map");
  if (command.count("--thresh") && !map) fail("--thresh: only with --metric map");
  if (command.count("--iou_thresh") && (o.metric == "coco" || o.metric == "aitod"))
    fail("--iou_thresh: {}'s metric has its own ten thresholds", o.metric == "coco" ? "COCO" : "AI-TOD");
}

}  // namespace

void add_eval(CLI::App& app) {
  auto a = std::make_shared<Arguments>();
  CLI::App* command =
      app.add_subcommand("eval", "Measure a network, or recorded detections, against the truth");
  command->add_option("cfg", a->load.cfg, "the .cfg file");
  command->add_option("data", a->data, "the .data file");
  command->add_option("weights", a->load.weights, "the .weights file");
  command->add_option("--split", a->split, "which list of the .data file")
      ->check(CLI::IsMember({"valid", "train"}))
      ->capture_default_str();
  add_nms_options(*command, a->detection.settings);
  add_fit_options(*command, a->fit);
  command->add_option("--batch", a->load.batch, "images that run together")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_flag("--strict", a->strict, "a broken label or image list is an error");
  add_device_options(*command, a->load.device);
  command->add_flag("--lenient", a->load.lenient, "unknown keys of the .cfg are warnings, not errors");
  command->add_option("--truth", a->metric.truth, "instead of a network: ground truth, COCO's JSON");
  command->add_option("--detections", a->metric.detections,
                      "instead of a network: detections, COCO's results JSON");
  command->add_flag("--proposals", a->proposals,
                    "instead of detections: the average recall of what [rpn] proposes, whatever the class");
  add_metric_options(command, a->metric);
  command->callback([a, command] {
    check_metric_options(*command, a->metric);
    const bool recorded = !a->metric.truth.empty() || !a->metric.detections.empty();
    if (recorded && (a->metric.truth.empty() || a->metric.detections.empty()))
      fail("--truth and --detections belong together");
    if (recorded && !a->load.cfg.empty()) fail("either CFG DATA WEIGHTS, or --truth and --detections");
    if (recorded && a->proposals) fail("--proposals: only of a network");
    if (a->proposals && command->count("--metric")) fail("either --metric or --proposals");
    if (recorded) return evaluate_recorded(a->metric);
    if (a->load.weights.empty()) fail("expected CFG DATA WEIGHTS, or --truth T.json --detections D.json");
    evaluate_network(*a);
  });
}

}  // namespace osprey
