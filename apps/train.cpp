// osprey train: a detector or a classifier from a .cfg and a data set.
#include <fmt/core.h>

#include <memory>

#include "apps/commands.h"
#include "apps/device.h"
#include "apps/processes.h"
#include "core/error.h"
#include "core/log.h"
#include "train/progress.h"
#include "train/trainer.h"

namespace osprey {
namespace {

void run_training(const TrainOptions& options) {
  Trainer trainer(options);
  const TrainResult r = trainer.run();
  if (!trainer.leads()) return;
  fmt::print("{} iterations in {}, {:.1f} images/s, average loss {:.4g}\n", r.iterations,
             duration_text(r.seconds), r.images_per_second, r.average_loss);
  if (r.measured.score >= 0)
    fmt::print("{} {:.2f}% at the end, {:.2f}% at best\n", r.score_name, 100 * r.measured.score,
               100 * r.best_score);
  if (r.measured.top_k >= 0) fmt::print("top-{} {:.2f}% at the end\n", r.measured.k, 100 * r.measured.top_k);
}

}  // namespace

void add_train(CLI::App& app) {
  auto o = std::make_shared<TrainOptions>();
  auto device = std::make_shared<DeviceOptions>();
  auto processes = std::make_shared<int>(1);
  auto gpus = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand(
      "train", "Train a detector or a classifier; Ctrl-C saves and stops, --resume goes on");
  command->add_option("cfg", o->cfg, "the .cfg file")->required();
  command->add_option("data", o->data, "the .data file: classes, train, valid, names, backup, format")
      ->required();
  command->add_option("weights", o->weights,
                      "weights to start from, of the whole network or of its backbone");
  command->add_option("--out", o->out,
                      "folder for weights, checkpoints and the report (default: `backup` of the data)");
  command->add_flag("--resume", o->resume, "go on from the checkpoint in that folder, as if never stopped");
  command->add_flag("--keep-seen", o->keep_seen,
                    "count iterations on from the weights' header, as Darknet does");
  command->add_option("--seed", o->seed, "two runs with one seed are equal")->capture_default_str();
  command->add_option("--max-batches", o->max_batches, "iterations, instead of the .cfg's max_batches")
      ->check(CLI::PositiveNumber);
  command->add_option("--map-every", o->map_every, "iterations between two measurements of mAP or top-1")
      ->check(CLI::PositiveNumber);
  command->add_flag("!--no-map", o->map, "do not measure mAP or top-1 on the validation list");
  command
      ->add_option("--save-every", o->save_every,
                   "iterations between two checkpoints (default: `savelast` of the .data file, or 100)")
      ->check(CLI::PositiveNumber);
  command
      ->add_option("--patience", o->patience,
                   "stop when so many measurements in a row bring no better mAP or top-1")
      ->check(CLI::PositiveNumber);
  command->add_option("--loader-threads", o->loader_threads, "threads that decode and augment images")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_flag("--strict", o->strict,
                    "a broken image or label is an error, instead of being told and skipped");
  command->add_flag("--lenient", o->lenient,
                    "unknown keys of the .cfg and the .data file are warnings, not errors");
  command->add_option("--port", o->port, "show the report of the training, as it grows, at this port of HTTP")
      ->check(CLI::Range(0, 65535));
  command
      ->add_option("--host", o->host, "the address that --port listens on: 0.0.0.0 for other machines, too")
      ->check(CLI::ValidIPV4)
      ->capture_default_str();
  // For comparing with AlexeyAB's CPU build, a fault of which this repeats. Not shown in the help.
  command->add_flag("--uncleared-gradients", o->uncleared_gradients)->group("");
  add_device_options(*command, *device);
  command
      ->add_option(
          "--processes", *processes,
          "processes that deal the mini-batches of each batch among them, each with its share of the cores, "
          "or with a GPU; subdivisions must be a multiple")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--gpus", *gpus, "numbers of GPUs, such as 0,1: a process on each")
      ->excludes("--processes");
  command->callback([o, device, processes, gpus] {
    o->device = device->device();
    if (!gpus->empty()) {
      if (o->device != Device::cuda) fail("--gpus is for --device cuda");
      *processes = take_gpus(*gpus);
    }
    run_as_group(*processes);
    o->precision = device->precision();
    o->convolution = device->convolution();
    run_training(*o);
  });
}

}  // namespace osprey
