// osprey propose: what a network with [rpn] proposes in the images of a data set, as files for [proposals].
#include <memory>

#include "apps/commands.h"
#include "apps/evaluation.h"
#include "core/error.h"
#include "core/log.h"
#include "train/progress.h"
#include "train/proposals.h"

namespace osprey {
namespace {

struct Arguments {
  EvaluationOptions evaluation;
  std::string data, out, split = "both";
};

Dataset images_of(const Arguments& a) {
  const DataFile data = read_data_file(a.data);
  if (a.split != "both")
    return load_dataset(data, a.split == "train" ? Split::train : Split::valid, a.evaluation.strict);
  Dataset all = load_dataset(data, Split::train, a.evaluation.strict);
  if (!data.has(Split::valid)) return all;
  Dataset valid = load_dataset(data, Split::valid, a.evaluation.strict);
  for (Sample& sample : valid.samples) all.samples.push_back(std::move(sample));
  return all;
}

void run_propose(const Arguments& a) {
  const Dataset dataset = images_of(a);
  const auto network = load_network(a.evaluation.load);
  if (network->takes_proposals())
    fail("{}: the network has [proposals] itself: propose needs one whose RoIs come from [rpn]",
         a.evaluation.load.cfg);
  const Fit fit = a.evaluation.fit.fit(network->net());
  Progress progress("propose", int64_t(dataset.samples.size()));
  const int broken =
      write_all_proposals(*network, dataset, fit, a.out, [&](int done) { progress.update(done, "images"); });
  progress.finish();
  if (broken) warn("{} images could not be read and have no proposals", broken);
  info("{}: proposals of {} images", a.out, int(dataset.samples.size()) - broken);
}

}  // namespace

void add_propose(CLI::App& app) {
  auto a = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand(
      "propose", "Write what [rpn] proposes in a data set as files for networks with [proposals]");
  command->add_option("cfg", a->evaluation.load.cfg, "the .cfg file, with [rpn]")->required();
  command->add_option("weights", a->evaluation.load.weights, "the .weights file")->required();
  command->add_option("data", a->data, "the .data file")->required();
  command->add_option("--out", a->out, "folder for the files: NAME.txt for NAME.jpg")->required();
  command->add_option("--split", a->split, "which lists of the .data file")
      ->check(CLI::IsMember({"both", "train", "valid"}))
      ->capture_default_str();
  add_evaluation_options(*command, a->evaluation);
  command->callback([a] { run_propose(*a); });
}

}  // namespace osprey
