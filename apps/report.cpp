// osprey report: how good a network is on a data set, as one page to look at.
#include <memory>

#include "apps/commands.h"
#include "apps/fit_options.h"
#include "apps/load.h"
#include "core/file.h"
#include "core/log.h"
#include "train/check.h"
#include "train/progress.h"
#include "train/proposals.h"
#include "train/report/run_report.h"

namespace osprey {
namespace {

struct Arguments {
  LoadOptions load;
  FitOptions fit;
  std::string data, checkpoint, out = "report.html";
  float confidence = 0.25f;
  bool strict = false;
};

void write_report(const Arguments& a) {
  const DataFile data = read_data_file(a.data);
  const Dataset train = load_dataset(data, Split::train, a.strict);
  Dataset valid = load_dataset(data, Split::valid, a.strict);
  const auto network = load_network(a.load);
  check_classes(*network, a.load.cfg, valid, a.data);
  if (network->takes_proposals()) find_proposals(valid, data);
  Progress progress("eval", int64_t(valid.samples.size()));
  const Evaluated found = detect_all(*network, valid, map_options(a.fit.fit(network->net())),
                                     [&](int done) { progress.update(done, "images"); });
  progress.finish();
  RunReport report = describe_run(a.load.cfg, a.data, *network);
  report.facts.insert(report.facts.begin() + 1, {"weights", a.load.weights});
  report.max_batches = network->net().max_batches;
  if (!a.checkpoint.empty()) report.history = read_training_state(a.checkpoint).history;
  report.train = &train;
  report.valid = &valid;
  std::vector<Finding> fit;
  check_fit(*network, train, fit);
  for (const Finding& finding : fit)
    if (finding.severity != Severity::note) report.warnings.push_back(finding.text);
  report.findings = findings_of(valid, found, a.confidence);
  write_file(a.out, report_html(report));
  info("{}: written", a.out);
}

}  // namespace

void add_report(CLI::App& app) {
  auto a = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand(
      "report", "Write a page on a network: precision and recall, mistakes, the worst images, labels");
  command->add_option("cfg", a->load.cfg, "the .cfg file")->required();
  command->add_option("data", a->data, "the .data file")->required();
  command->add_option("weights", a->load.weights, "the .weights file")->required();
  command->add_option("--out", a->out, "the file to write, HTML that needs nothing beside it")
      ->capture_default_str();
  command->add_option("--checkpoint", a->checkpoint,
                      "NAME_checkpoint.safetensors of the training, for its curves");
  command->add_option("--thresh", a->confidence, "score of the detections that are counted and drawn")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  add_fit_options(*command, a->fit);
  command->add_option("--batch", a->load.batch, "images that run together")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_flag("--strict", a->strict, "a broken label or image list is an error");
  add_device_options(*command, a->load.device);
  command->add_flag("--lenient", a->load.lenient, "unknown keys of the .cfg are warnings, not errors");
  command->callback([a] { write_report(*a); });
}

}  // namespace osprey
