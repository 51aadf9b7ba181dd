// osprey eval: how good a network, or recorded detections, are, by the measures of COCO, VOC and Darknet;
// of a classifier, how often it is right.
#include <fmt/core.h>

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/commands.h"
#include "apps/eval_recorded.h"
#include "apps/evaluation.h"
#include "apps/nms_options.h"
#include "core/json_text.h"
#include "core/log.h"
#include "train/classifier.h"
#include "train/metrics/proposals.h"
#include "train/progress.h"
#include "train/proposals.h"

namespace osprey {
namespace {

struct Arguments {
  EvaluationOptions evaluation;
  std::string data, split = "valid";
  DetectionOptions detection = map_options(Fit::stretch);
  bool proposals = false;
  RecordedOptions metric;
};

void evaluate_proposals(const Arguments& a, const Subject& subject) {
  Progress progress("eval", int64_t(subject.dataset.samples.size()));
  const Evaluated found = propose_all(*subject.network, subject.dataset, a.detection.fit,
                                      [&](int done) { progress.update(done, "images"); });
  progress.finish();
  tell_broken_images(found);
  const ProposalRecall recall = proposal_recall(found.truths, found.detections,
                                                int(subject.dataset.samples.size()) - found.broken_images);
  a.metric.json ? void(std::puts(metrics_json(recall).c_str())) : print_metrics(recall);
}

void print_accuracy(const Accuracy& accuracy, const std::vector<std::string>& names, bool as_json) {
  if (as_json) {
    nlohmann::ordered_json per_class = nlohmann::ordered_json::object();
    for (size_t i = 0; i < names.size(); ++i)
      per_class[names[i]] = {{"images", accuracy.images_per_class[i]}, {"top1", accuracy.hits_per_class[i]}};
    const nlohmann::ordered_json all = {{"images", accuracy.images},
                                        {"top1", accuracy.top1()},
                                        {"k", accuracy.k},
                                        {"top_k", accuracy.top_k()},
                                        {"per_class", per_class}};
    fmt::print("{}\n", json_text(all, 1));
    return;
  }
  for (size_t i = 0; i < names.size(); ++i)
    if (const int64_t images = accuracy.images_per_class[i]; images > 0)
      fmt::print("{:>8.2f}% of {:>6}  {}\n", 100 * double(accuracy.hits_per_class[i]) / double(images),
                 images, names[i]);
  fmt::print("top-1 {:.2f}%", 100 * accuracy.top1());
  if (accuracy.k > 1) fmt::print(", top-{} {:.2f}%", accuracy.k, 100 * accuracy.top_k());
  fmt::print(" of {} images\n", accuracy.images);
}

void evaluate_classifier(const Arguments& a, const Subject& subject) {
  const Dataset& dataset = subject.dataset;
  Progress progress("eval", int64_t(dataset.samples.size()));
  const FitOptions& asked = a.evaluation.fit;
  const Fit fit = asked.given() ? asked.fit(subject.network->net()) : Fit::crop;
  const Accuracy accuracy = measure_accuracy(*subject.network, dataset, subject.data.top, fit,
                                             [&](const Accuracy& a) { progress.update(a.images, "images"); });
  progress.finish();
  if (accuracy.broken_images)
    warn("{} images could not be read; they count as wrong", accuracy.broken_images);
  print_accuracy(accuracy, dataset.names, a.metric.json);
}

void evaluate_network(Arguments a, bool metric_given) {
  Subject subject = load_subject(a.evaluation.load, a.data, a.split == "train" ? Split::train : Split::valid,
                                 a.evaluation.strict);
  a.detection.fit = a.evaluation.fit.fit(subject.network->net());
  if (a.proposals) return evaluate_proposals(a, subject);
  check_classes(*subject.network, subject.dataset, a.data, ClassesOf::detections);
  if (classifies(*subject.network)) {
    if (metric_given) fail("--metric: a classifier has one, top-1 and top-k with `top` of the .data file");
    return evaluate_classifier(a, subject);
  }
  const Evaluated found = detect_with_progress("eval", subject, a.detection);
  print_evaluation(found.truths, found.detections, subject.dataset.names, a.metric);
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
  command->add_option("cfg", a->evaluation.load.cfg, "the .cfg file");
  command->add_option("data", a->data, "the .data file");
  command->add_option("weights", a->evaluation.load.weights, "the .weights file");
  command->add_option("--split", a->split, "which list of the .data file")
      ->check(CLI::IsMember({"valid", "train"}))
      ->capture_default_str();
  add_nms_options(*command, a->detection.settings);
  add_evaluation_options(*command, a->evaluation);
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
    if (recorded && !a->evaluation.load.cfg.empty())
      fail("either CFG DATA WEIGHTS, or --truth and --detections");
    if (recorded && a->proposals) fail("--proposals: only of a network");
    if (a->proposals && command->count("--metric")) fail("either --metric or --proposals");
    if (recorded) return evaluate_recorded(a->metric);
    if (a->evaluation.load.weights.empty())
      fail("expected CFG DATA WEIGHTS, or --truth T.json --detections D.json");
    evaluate_network(*a, command->count("--metric") > 0);
  });
}

}  // namespace osprey
