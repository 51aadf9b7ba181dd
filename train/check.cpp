#include "train/check.h"

#include <algorithm>

#include "core/error.h"
#include "train/training_sets.h"

namespace osprey {
namespace {

// Keys of [net] that are each possible, and together make no sense.
void check_schedule(const Network& network, const Dataset& train, std::vector<Finding>& findings) {
  const NetSection& net = network.net();
  const auto warn_of = [&](const char* what, std::string text) {
    findings.push_back({Severity::warning, what, 0, std::move(text), {}});
  };
  if (net.max_batches < 1)
    findings.push_back({Severity::error,
                        "max_batches",
                        0,
                        "max_batches in [net] says how long to train: it is missing",
                        {}});
  else if (const int64_t epochs = net.max_batches * net.batch / std::max<int64_t>(1, train.report.images);
           epochs < 10)
    warn_of("max_batches", fmt::format("max_batches={} shows each image {} times: few for a training",
                                       net.max_batches, epochs));
  if (net.policy == Policy::steps && net.max_batches > 0)
    for (const int step : net.steps)
      if (step >= net.max_batches)
        warn_of("steps",
                fmt::format("steps={} is not reached, since max_batches={}: the rate never falls there", step,
                            net.max_batches));
  if (net.batch < 4)
    warn_of("batch",
            fmt::format("batch={}: so few images make a poor gradient and poor statistics; 64 is usual",
                        net.batch));
}

}  // namespace

std::vector<Finding> check_training(const CheckOptions& options) {
  std::vector<Finding> findings;
  const auto attempt = [&](const char* what, auto&& act) {
    try {
      act();
      return true;
    } catch (const Error& e) {
      findings.push_back({Severity::error, what, 0, e.what(), {}});
      return false;
    }
  };
  std::unique_ptr<Network> network;
  attempt("cfg", [&] {
    NetworkOptions build;
    build.lenient = options.lenient;
    const std::vector<Section> sections = read_cfg(options.cfg);
    auto built = std::make_unique<Network>(sections, build);
    built->plan(1, built->net().width, built->net().height);
    network = std::move(built);
    for (const auto& [key, why] : network->net().training_faults)
      sections[0].fail(sections[0].line_of(key), why);
    for (const Node& node : network->nodes())
      if (const char* why = node.layer->why_not_trained()) node.section.fail(node.section.line, why);
    if (network->heads().empty())
      fail("{}: no layer that detects ([yolo], [retina], [rcnn], ...)", options.cfg);
    augmentation(*network, sections[0]);
  });
  DataFile data;
  if (!attempt("data", [&] { data = read_data_file(options.data, options.lenient); })) return findings;
  CheckOptions looks = options;
  if (network) looks.channels = network->net().channels;
  CheckedSet train, valid;
  train.name = "train";
  valid.name = "valid";
  const bool trains = attempt("data", [&] { train = check_set(data, Split::train, looks, findings); });
  if (!data.has(Split::valid))
    findings.push_back(
        {Severity::warning, "valid", 0, "there is no validation list: no mAP is measured", {}});
  else
    attempt("data", [&] { valid = check_set(data, Split::valid, looks, findings); });
  if (!trains) return findings;
  check_class_counts(train.dataset, findings);
  check_overlap(train, valid, findings);
  if (!network || network->heads().empty()) return findings;
  attempt("classes", [&] { check_classes(*network, train.dataset, options.data, ClassesOf::labels); });
  check_schedule(*network, train.dataset, findings);
  check_objects(*network, train.dataset, findings);
  check_anchors(*network, train.dataset, findings);
  attempt("memory", [&] { check_memory(options, findings); });
  return findings;
}

}  // namespace osprey
