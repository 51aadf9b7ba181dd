#include "train/metrics/proposals.h"

#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "train/metrics/coco.h"

namespace osprey {
namespace {

struct Figure {
  const char* key;
  const char* meaning;
  double ProposalRecall::*value;
};
constexpr Figure kFigures[] = {
    {"AR100", "IoU 0.50:0.95, 100 proposals an image", &ProposalRecall::ar100},
    {"AR300", "300 proposals an image", &ProposalRecall::ar300},
    {"AR1000", "1000 proposals an image", &ProposalRecall::ar1000},
    {"ARs", "1000 proposals, small objects, below 32x32 pixels", &ProposalRecall::ar_small},
    {"ARm", "1000 proposals, medium objects, below 96x96", &ProposalRecall::ar_medium},
    {"ARl", "1000 proposals, large objects", &ProposalRecall::ar_large},
    {"R50", "1000 proposals, IoU 0.50", &ProposalRecall::recall50}};

}  // namespace

ProposalRecall proposal_recall(std::vector<TruthBox> truths, std::vector<DetectedBox> proposals, int images) {
  ProposalRecall recall;
  for (TruthBox& truth : truths) {
    truth.class_id = 0;
    recall.truths += !truth.crowd;
  }
  for (DetectedBox& proposal : proposals) proposal.class_id = 0;
  CocoOptions options;
  options.max_detections = {100, 300, 1000};
  const CocoTable table = coco_table(truths, proposals, 1, options);
  recall.ar100 = table.average_recall(0, 0);
  recall.ar300 = table.average_recall(0, 1);
  recall.ar1000 = table.average_recall(0, 2);
  recall.ar_small = table.average_recall(1, 2);
  recall.ar_medium = table.average_recall(2, 2);
  recall.ar_large = table.average_recall(3, 2);
  recall.recall50 = table.recall_at(0, 0, 0, 2);
  if (images > 0) recall.proposals = double(proposals.size()) / images;
  return recall;
}

void print_metrics(const ProposalRecall& metrics) {
  for (const Figure& f : kFigures) {
    const double value = metrics.*f.value;
    fmt::print("{:<6}  {:>6}  {}\n", f.key, value < 0 ? "-" : fmt::format("{:.2f}", 100 * value), f.meaning);
  }
  fmt::print("{} truths, {:.1f} proposals an image\n", metrics.truths, metrics.proposals);
}

std::string metrics_json(const ProposalRecall& metrics) {
  nlohmann::ordered_json object;
  for (const Figure& f : kFigures) object[f.key] = metrics.*f.value;
  object["truths"] = metrics.truths;
  object["proposals"] = metrics.proposals;
  return object.dump();
}

}  // namespace osprey
