// osprey report: how good a network is on a data set, as one page to look at.
#include <memory>

#include "apps/commands.h"
#include "apps/evaluation.h"
#include "core/file.h"
#include "core/log.h"
#include "train/report/run_report.h"

namespace osprey {
namespace {

struct Arguments {
  EvaluationOptions evaluation;
  std::string data, checkpoint, out = "report.html";
  float confidence = 0.25f;
};

void write_report(const Arguments& a) {
  const LoadOptions& load = a.evaluation.load;
  Subject subject = load_subject(load, a.data, Split::valid, a.evaluation.strict);
  check_classes(*subject.network, subject.dataset, a.data, ClassesOf::detections);
  const NetSection& net = subject.network->net();
  RunReport report = describe_run(load.cfg, a.data, *subject.network);
  report.facts.insert(report.facts.begin() + 1, {"weights", load.weights});
  report.max_batches = net.max_batches;
  if (!a.checkpoint.empty()) report.history = read_training_state(a.checkpoint).history;
  if (subject.data.has(Split::train)) {
    const Dataset train = load_dataset(subject.data, Split::train, a.evaluation.strict);
    describe_data(report, *subject.network, train, &subject.dataset);
  }
  const Evaluated found = detect_with_progress("eval", subject, map_options(a.evaluation.fit.fit(net)));
  report.findings = findings_of(subject.dataset, found, a.confidence);
  write_file(a.out, report_html(report));
  info("{}: written", a.out);
}

}  // namespace

void add_report(CLI::App& app) {
  auto a = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand(
      "report", "Write a page on a network: precision and recall, mistakes, the worst images, labels");
  command->add_option("cfg", a->evaluation.load.cfg, "the .cfg file")->required();
  command->add_option("data", a->data, "the .data file")->required();
  command->add_option("weights", a->evaluation.load.weights, "the .weights file")->required();
  command->add_option("--out", a->out, "the file to write, HTML that needs nothing beside it")
      ->capture_default_str();
  command->add_option("--checkpoint", a->checkpoint,
                      "NAME_checkpoint.safetensors of the training, for its curves");
  command->add_option("--thresh", a->confidence, "score of the detections that are counted and drawn")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  add_evaluation_options(*command, a->evaluation);
  command->callback([a] { write_report(*a); });
}

}  // namespace osprey
