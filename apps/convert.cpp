// osprey convert: weights trained with PyTorch as a .weights file for a network.
#include <fmt/core.h>

#include <memory>

#include "apps/commands.h"
#include "core/error.h"
#include "models/pytorch.h"
#include "models/weights.h"

namespace osprey {
namespace {

struct Arguments {
  std::string cfg, source, weights;
  int layers = 0;
  bool lenient = false;
};

void convert(const Arguments& a) {
  NetworkOptions options;
  options.build.training = false;
  options.lenient = a.lenient;
  Network network(read_cfg(a.cfg), options);
  network.plan(1, network.net().width, network.net().height);
  network.parameters().initialise(0);  // of layers amid a backbone that the source has nothing for
  const int layers = int(network.nodes().size());
  if (a.layers > layers) fail("--layers {}: the network has {}", a.layers, layers);
  const int reached = take_named_arrays(network, read_named_arrays(a.source), a.source);
  if (a.layers > reached) fail("--layers {}: {} ends before {}", a.layers, a.source, network.where(reached));
  const int written = a.layers ? a.layers : reached;
  save_weights(a.weights, network, {}, written);
  if (written < layers)
    fmt::print("{}: the layers 0 to {} of {}\n", a.weights, written - 1, layers);
  else
    fmt::print("{}: all {} layers\n", a.weights, layers);
}

}  // namespace

void add_convert(CLI::App& app) {
  auto a = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand(
      "convert", "Make a .weights file of PyTorch's weights: ResNet and VGG, by the names of their modules");
  command->add_option("cfg", a->cfg, "the .cfg file of the same network, or of one that begins with it")
      ->required();
  command->add_option("source", a->source, "a .safetensors or .npz file with PyTorch's names")->required();
  command->add_option("weights", a->weights, "the .weights file to write")->required();
  command->add_option("--layers", a->layers, "write only the first layers: a backbone to start training from")
      ->check(CLI::PositiveNumber);
  command->add_flag("--lenient", a->lenient, "unknown keys are warnings, not errors");
  command->callback([a] { convert(*a); });
}

}  // namespace osprey
