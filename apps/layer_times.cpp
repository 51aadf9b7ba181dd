// A roof: no layer is faster than its operations at the peak rate of its precision, nor than its bytes at the
// bandwidth of memory. Caches beat the second; Winograd, which needs fewer operations, beats the first.
#include "apps/layer_times.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "apps/timing.h"

namespace osprey {
namespace {

// Layers one by one, in the order of Network::forward: the milliseconds of each, in every iteration. Their
// sum is a little more than a whole forward: the clock is read between them.
std::vector<std::vector<double>> time_layers(Network& network, const LayerRuns& runs) {
  std::vector<std::vector<double>> times(network.nodes().size());
  for (int i = 0; i < runs.warmup + runs.iterations; ++i) {
    runs.give(i == 0);
    network.upload();
    if (i >= runs.warmup)
      for (std::vector<double>& of_layer : times) of_layer.push_back(0);
    for (int pass = 0; pass < network.passes(); ++pass) {
      network.enqueue_input(pass);
      for (size_t k = 0; k < times.size(); ++k) {
        if (network.nodes()[k].worker(int(k)) != int(k)) continue;
        const double t = milliseconds([&] {
          network.nodes()[k].layer->forward(network.stream());
          network.wait();
        });
        if (i >= runs.warmup) times[k].back() += t;
      }
    }
  }
  return times;
}

size_t output_bytes(const Network& network, int layer) {
  if (layer == kInput) return network.input().bytes();
  return size_t(network.output(layer).elements()) * bytes_of(network.nodes()[size_t(layer)].output_type);
}

// What each layer reads and writes at least, once: what it sees, what it makes, its parameters (of 2 bytes
// under bf16), and what the layers that it does the work of see besides.
std::vector<double> bytes_of_layers(const Network& network, Precision precision) {
  const auto& nodes = network.nodes();
  std::vector<double> bytes(nodes.size());
  for (size_t k = 0; k < nodes.size(); ++k) {
    if (nodes[k].chained_to >= 0) continue;  // the last of a chain sees what the first does
    const int worker = nodes[k].worker(int(k));
    for (int from : nodes[k].inputs)
      if (from < 0 || nodes[size_t(from)].worker(from) != worker)
        bytes[size_t(worker)] += double(output_bytes(network, from));
    if (worker == int(k)) bytes[k] += double(output_bytes(network, int(k)));
  }
  for (const ParameterSpan& span : network.parameters().spans())
    bytes[size_t(nodes[size_t(span.layer)].worker(span.layer))] +=
        double(span.shape.elements()) * (precision == Precision::bf16 ? 2 : 4);
  return bytes;
}

}  // namespace

std::vector<LayerFigures> measure_layers(Network& network, const LayerRuns& runs, const Ceilings& ceilings) {
  const std::vector<std::vector<double>> times = time_layers(network, runs);
  const std::vector<double> bytes = bytes_of_layers(network, runs.precision);
  const double peak = runs.precision == Precision::bf16 && ceilings.bf16 > 0 ? ceilings.bf16 : ceilings.fp32;
  std::vector<LayerFigures> figures(times.size());
  std::vector<double> flops_of(times.size());
  for (size_t k = 0; k < times.size(); ++k) {
    const Node& node = network.nodes()[k];
    flops_of[size_t(node.worker(int(k)))] += node.layer->summary().flops * network.input().shape.n;
  }
  for (size_t k = 0; k < times.size(); ++k) {
    constexpr double kNothing = 1e-3;  // milliseconds, of a layer that only names what is there
    LayerFigures& f = figures[k];
    const double usual = median(times[k]);
    if (usual <= kNothing) continue;
    const double flops = flops_of[k];
    f.milliseconds = usual;
    f.least_milliseconds = *std::min_element(times[k].begin(), times[k].end());
    f.gflops = flops / usual / 1e6;
    if (network.device() == Device::cpu)
      f.of_roof = std::max(flops / peak, bytes[k] / ceilings.bandwidth()) / usual / 1e6;
  }
  return figures;
}

std::string table_of(const Network& network, const std::vector<LayerFigures>& figures) {
  double total = 0;
  for (const LayerFigures& f : figures) total += f.milliseconds;
  std::string table = fmt::format("{:>5} {:<15} {:<8} {:<16} {:>9} {:>9} {:>7} {:>8}\n", "layer", "type",
                                  "window", "output", "ms", "GFLOP/s", "share", "of roof");
  for (size_t k = 0; k < figures.size(); ++k) {
    const Node& node = network.nodes()[k];
    const LayerFigures& f = figures[k];
    if (const int worker = node.worker(int(k)); worker != int(k)) {
      table += fmt::format("{:5} {:<15} {:<8} {:4} x{:4} x{:4}   done by {}\n", k, node.type->name,
                           node.layer->summary().window, node.output.w, node.output.h, node.output.c, worker);
      continue;
    }
    const std::string of_roof = f.of_roof > 0 ? fmt::format("{:.1f}%", 100 * f.of_roof) : "";
    table += fmt::format("{:5} {:<15} {:<8} {:4} x{:4} x{:4} {:9.3f} {:9.1f} {:6.1f}% {:>8}\n", k,
                         node.type->name, node.layer->summary().window, node.output.w, node.output.h,
                         node.output.c, f.milliseconds, f.gflops, 100 * f.milliseconds / total, of_roof);
  }
  return table;
}

}  // namespace osprey
