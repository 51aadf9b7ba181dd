#include "train/report/run_report.h"

#include <fmt/format.h>

#include <filesystem>

namespace osprey {

RunReport describe_run(const std::string& cfg, const std::string& data, const Network& network) {
  const NetSection& net = network.net();
  RunReport r;
  r.title = std::filesystem::path(cfg).stem().string();
  r.width = net.width;
  r.height = net.height;
  r.facts = {
      {"network",
       fmt::format("{}: {} layers, {:.2f} million parameters, input {}x{}x{}", cfg, network.nodes().size(),
                   double(network.parameters().trained_count()) / 1e6, net.width, net.height, net.channels)},
      {"data", data},
      {"batch", fmt::format("{} images in {} mini-batches", net.batch, net.subdivisions)},
      {"learning rate", fmt::format("{:g}, {} iterations", net.learning_rate, net.max_batches)},
      {"device", network.device() == Device::cpu ? "CPU" : "GPU"}};
  for (const Head* head : network.heads())
    for (const Anchor& a : head->anchor_shapes()) r.anchors.push_back({a.w, a.h});
  return r;
}

}  // namespace osprey
