// osprey eval: how good detections are, by the measures of COCO, VOC and Darknet.
#include <memory>

#include "apps/commands.h"
#include "apps/eval_recorded.h"

namespace osprey {

void add_eval(CLI::App& app) {
  CLI::App* command = app.add_subcommand("eval", "Measure detections against the truth");
  auto options = std::make_shared<RecordedOptions>();
  command->add_option("--truth", options->truth, "Ground truth, COCO's JSON")->required();
  command->add_option("--detections", options->detections, "Detections, COCO's results JSON")->required();
  command
      ->add_option(
          "--metric", options->metric,
          "coco: COCO's twelve numbers; voc07, voc: PASCAL VOC 2007, 2010; map: as Darknet's detector map")
      ->check(CLI::IsMember({"coco", "voc07", "voc", "map"}))
      ->capture_default_str();
  CLI::Option* points = command
                            ->add_option("--points", options->points,
                                         "map: 0 the area under the curve, 11 or 101 the mean over recalls")
                            ->check(CLI::IsMember({0, 11, 101}))
                            ->capture_default_str();
  CLI::Option* iou =
      command->add_option("--iou_thresh", options->iou_threshold, "IoU of a match (voc07, voc, map)")
          ->check(CLI::Range(0.0, 1.0))
          ->capture_default_str();
  CLI::Option* thresh =
      command->add_option("--thresh", options->confidence, "map: score for precision and recall")
          ->check(CLI::Range(0.0, 1.0))
          ->capture_default_str();
  command->add_flag("--json", options->json, "One JSON object instead of tables");
  command->callback([=] {
    const bool map = options->metric == "map";
    if (*points && !map) fail("--points: only with --metric map");
    if (*thresh && !map) fail("--thresh: only with --metric map");
    if (*iou && options->metric == "coco") fail("--iou_thresh: COCO's metric has its own ten thresholds");
    evaluate_recorded(*options);
  });
}

}  // namespace osprey
