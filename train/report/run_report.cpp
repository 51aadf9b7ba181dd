#include "train/report/run_report.h"

#include <fmt/format.h>

#include <filesystem>

#include "train/check.h"
#include "train/report/sections.h"
#include "train/validation.h"

namespace osprey {

RunReport describe_run(const std::string& cfg, const std::string& data, const Network& network) {
  const NetSection& net = network.net();
  RunReport r;
  r.title = std::filesystem::path(cfg).stem().string();
  r.score_name = Validation::score_name(network);
  r.facts = {
      {"network",
       fmt::format("{}: {} layers, {:.2f} million parameters, input {}x{}x{}", cfg, network.nodes().size(),
                   double(network.parameters().trained_count()) / 1e6, net.width, net.height, net.channels)},
      {"data", data},
      {"batch", fmt::format("{} images in {} mini-batches", net.batch, net.subdivisions)},
      {"learning rate", fmt::format("{:g}, {} iterations", net.learning_rate, net.max_batches)},
      {"device", network.device() == Device::cpu ? "CPU" : "GPU"}};
  return r;
}

void describe_data(RunReport& report, const Network& network, const Dataset& train, const Dataset* valid) {
  std::vector<BoxShape> anchors;
  for (const Head* head : network.heads())
    for (const Anchor& a : head->anchor_shapes()) anchors.push_back({a.w, a.h});
  report.data_sections = shapes_section(train, anchors, network.net().width, network.net().height) +
                         labels_section(train, valid);
  std::vector<Finding> findings;
  check_class_counts(train, findings);
  if (!network.heads().empty()) check_objects(network, train, findings);
  for (const Finding& finding : findings)
    report.warnings.push_back(finding.examples.empty()
                                  ? finding.text
                                  : fmt::format("{}: {}", finding.text, fmt::join(finding.examples, "; ")));
  if (const int64_t missing = train.report.missing_labels)
    report.warnings.push_back(
        fmt::format("{} of {} training images have no label file and are taken for background", missing,
                    train.report.images));
}

}  // namespace osprey
