// detector train, classifier train: osprey train, with Darknet's lines.
#include <fmt/core.h>

#include <optional>

#include "apps/darknet/commands.h"
#include "apps/processes.h"
#include "core/log.h"
#include "train/trainer.h"

namespace osprey::darknet {
namespace {

void print_iteration(const TrainProgress& p) {
  if (p.score >= 0)
    fmt::print(
        " (next mAP calculation at {} iterations) \n Last accuracy mAP@0.50 = {:2.2f} %, best = "
        "{:2.2f} % \n",
        p.next_measurement, 100 * p.score, 100 * p.best_score);
  fmt::print(" {}: {:f}, {:f} avg loss, {:f} rate, {:f} seconds, {} images, {:f} hours left\n", p.iteration,
             p.loss, p.average_loss, p.rate, p.seconds, p.images, p.seconds_left / 3600);
  std::fflush(stdout);
}

void print_classifier_iteration(const TrainProgress& p) {
  if (p.score >= 0)
    fmt::print(
        " (next top-1 calculation at {} iterations) \n Last accuracy top-1 = {:2.2f} %, best = {:2.2f} % \n",
        p.next_measurement, 100 * p.score, 100 * p.best_score);
  fmt::print("{}, {:.3f}: {:f}, {:f} avg, {:f} rate, {:f} seconds, {} images, {:f} hours left\n", p.iteration,
             p.epochs, p.loss, p.average_loss, p.rate, p.seconds, p.images, p.seconds_left / 3600);
  std::fflush(stdout);
}

// `measure`: the option that asks for measurements on the validation images.
// Nothing is returned in a process that only helps.
std::optional<TrainResult> train(Arguments& a, const char* measure, void (*tell)(const TrainProgress&)) {
  const auto at = a.places({"DATA", "CFG", "WEIGHTS"}, 2);
  TrainOptions o;
  o.data = at[0];
  o.cfg = at[1];
  o.weights = at[2];
  o.keep_seen = !a.flag("clear");
  o.map = a.flag(measure);
  o.map_on_training = true;
  o.map_epochs = a.integer("mAP_epochs", 0, 1);
  o.validation_loss = false;  // Darknet measures none
  o.strict = a.flag("strict");
  o.port = a.integer("mjpeg_port", o.port, 0);  // our page shows more than Darknet's chart
  o.seed = uint64_t(a.integer("seed", 0, 0));
  o.lenient = true;
  int processes = 1;
  const DeviceOptions device = device_options(a, &processes);
  o.device = device.device();
  o.precision = device.precision();
  o.tell = tell;
  a.finish();
  run_as_group(processes);
  Trainer trainer(o);
  const TrainResult result = trainer.run();
  if (!trainer.leads()) return std::nullopt;
  if (!result.interrupted) fmt::print("Saving weights to {}\n", trainer.final_weights());
  return result;
}

}  // namespace

void train(Arguments& a) {
  const auto result = train(a, "map", print_iteration);
  if (result && !result->interrupted && result->measured.score >= 0)
    fmt::print("\n mean average precision (mAP@0.50) = {:f}, or {:2.2f} % \n", result->measured.score,
               100 * result->measured.score);
}

void train_classifier(Arguments& a) {
  const auto result = train(a, "topk", print_classifier_iteration);
  if (!result || result->interrupted || result->measured.score < 0) return;
  const Measured& m = result->measured;
  fmt::print("\n top-1 = {:2.2f} %{}\n", 100 * m.score,
             m.top_k < 0 ? "" : fmt::format(", top-{} = {:2.2f} %", m.k, 100 * m.top_k));
}

}  // namespace osprey::darknet
