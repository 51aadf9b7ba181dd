// osprey summary: the network as Darknet lists it, its parameters, and the plan of its memory.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "apps/commands.h"
#include "apps/device.h"
#include "models/network.h"
#include "models/weights.h"
#include "train/optimizer.h"

namespace osprey {
namespace {

struct Arguments {
  std::string cfg;
  DeviceOptions device;
  bool memory = false, lenient = false, training = false, algorithms = false;
  int batch = 0;
};

double mebibytes(size_t bytes) { return double(bytes) / (1 << 20); }

std::string with_commas(int64_t number) {
  std::string text = std::to_string(number);
  for (int at = int(text.size()) - 3; at > 0; at -= 3) text.insert(size_t(at), ",");
  return text;
}

std::string size_text(Shape s) { return fmt::format("{:4} x{:4} x{:4}", s.w, s.h, s.c); }

void print_layers(const Network& network) {
  fmt::print("{:>5} {:<15} {:>7} {:<11} {:<16}    {:<16} {:>9}\n", "layer", "type", "filters", "size/strd",
             "input", "output", "BFLOPs");
  double flops = 0;
  for (size_t i = 0; i < network.nodes().size(); ++i) {
    const Node& node = network.nodes()[i];
    const LayerSummary s = node.layer->summary();
    std::string sources;
    const int first = node.inputs.empty() ? kInput : node.inputs[0];
    if (node.worker(int(i)) != int(i))
      sources = fmt::format("  done by {}", node.worker(int(i)));
    else if (node.inputs.size() > 1 || (first >= 0 && first != int(i) - 1))
      for (int from : node.inputs) sources += fmt::format("{}{}", sources.empty() ? "  from " : ",", from);
    const Shape in = first < 0 ? network.input().shape : network.nodes()[size_t(first)].output;
    fmt::print("{:5} {:<15} {:>7} {:<11} {} -> {} {:9.3f}{}\n", i, node.type->name,
               s.filters ? std::to_string(s.filters) : "", s.window, size_text(in), size_text(node.output),
               s.flops / 1e9, sources);
    flops += s.flops;
  }
  const Shape in = network.input().shape;
  fmt::print("Total BFLOPs {:.3f} (per image of {}x{})\n", flops / 1e9, in.w, in.h);
}

// How each convolution is computed on the CPU; what is chosen by the clock depends on the number of threads.
void print_algorithms(const Network& network) {
  fmt::print("\n{:>5} {:<15} {:<11} {:<16}    {:<16} {}\n", "layer", "type", "size/strd", "input", "output",
             network.training() ? "forward, gradient of the input, of the weights" : "algorithm");
  for (size_t i = 0; i < network.nodes().size(); ++i) {
    const Node& node = network.nodes()[i];
    const LayerSummary s = node.layer->summary();
    if (s.algorithms.empty()) continue;
    fmt::print("{:5} {:<15} {:<11} {} -> {} {}\n", i, node.type->name, s.window,
               size_text(node.layer->x().shape), size_text(node.output), s.algorithms);
  }
}

void print_plan(const Network& network) {
  fmt::print("\n{:<20} {:>12} {:>12} {:>9} {:>9}\n", "buffer", "offset", "bytes", "from step", "to step");
  auto buffers = network.memory().buffers;
  std::stable_sort(buffers.begin(), buffers.end(),
                   [](const auto& a, const auto& b) { return a.life.first < b.life.first; });
  for (const MemoryPlan::Buffer& b : buffers)
    fmt::print("{:<20} {:12} {:12} {:9} {:9}\n", b.what, b.offset, b.life.bytes, b.life.first, b.life.last);
}

// What training keeps for each parameter.
std::string kept_words(const NetSection& net) {
  std::vector<std::string> words = {"gradients", "momentum"};
  if (keeps_squares(net.optimizer)) words.push_back("mean squares");
  if (keeps_average(net)) words.push_back("average");
  const std::string last = words.back();
  words.pop_back();
  return fmt::format(" with {} and {}", fmt::join(words, ", "), last);
}

void summarise(const Arguments& a) {
  NetworkOptions options;
  options.lenient = a.lenient;
  options.build.training = a.training;
  options.build.device = a.device.device();
  options.build.convolution = a.device.convolution();
  options.precision = a.device.precision();
  Network network(read_cfg(a.cfg), options);
  const NetSection& net = network.net();
  network.plan(a.batch ? a.batch : a.training ? net.mini_batch() : 1, net.width, net.height);
  print_layers(network);
  fmt::print("parameters {} (with statistics {}: {} bytes as .weights)\n",
             with_commas(network.parameters().trained_count()), with_commas(network.parameters().count()),
             weights_bytes(network, WeightsHeader{}));

  // Both uses are told, whichever was asked for in detail.
  options.build.training = !a.training;
  Network other(read_cfg(a.cfg), options);
  other.plan(options.build.training ? net.mini_batch() : 1, net.width, net.height);
  for (const Network* n : {a.training ? &other : &network, a.training ? &network : &other}) {
    const MemoryPlan& m = n->memory();
    fmt::print(
        "Memory, {:<9} mini-batch {:3}: {:.1f} MiB planned ({:.1f} without sharing, {:.1f} at least), "
        "{:.1f} parameters{}, {:.1f} lasting\n",
        n->training() ? "training," : "detection", n->input().shape.n, mebibytes(m.bytes),
        mebibytes(m.without_sharing), mebibytes(m.peak),
        mebibytes(m.parameters + (n->training() ? optimizer_bytes(net, n->parameters()) : 0)),
        n->training() ? kept_words(net) : "", mebibytes(m.lasting));
  }
  if (a.algorithms) print_algorithms(network);
  if (a.memory) print_plan(network);
}

}  // namespace

void add_summary(CLI::App& app) {
  auto a = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("summary", "Show a network's layers, parameters and memory plan");
  command->add_option("cfg", a->cfg, "the .cfg file")->required();
  command->add_flag("--memory", a->memory, "list every buffer of the memory plan");
  command->add_flag("--algorithms", a->algorithms, "how each convolution is computed on the CPU");
  add_device_options(*command, a->device);
  command->add_flag("--training", a->training, "plan for training instead of detection");
  command->add_option("--batch", a->batch, "images per mini-batch")->check(CLI::PositiveNumber);
  command->add_flag("--lenient", a->lenient, "unknown keys are warnings, not errors");
  command->callback([a] { summarise(*a); });
}

}  // namespace osprey
