// The part of a check that needs the network: whether it suits the boxes and the machine.
#include <algorithm>
#include <map>

#include "core/available_memory.h"
#include "cuda/runtime.h"
#include "data/shapes.h"
#include "train/check.h"
#include "train/crowded.h"
#include "train/optimizer.h"
#include "train/schedule.h"
#include "train/validation_loss.h"

namespace osprey {
namespace {

constexpr double kMebibyte = 1 << 20;

// Of the finest map that a head reads, in pixels of the network input; 0 for heads of whole regions.
int finest_stride(const Network& network) {
  int finest = 0;
  for (const Node& node : network.nodes()) {
    if (!node.layer->head() && std::string(node.type->name) != "rpn") continue;
    for (const int from : node.inputs) {
      const int columns = from < 0 ? 0 : network.nodes()[size_t(from)].output.w;
      if (columns > 1 && (!finest || network.net().width / columns < finest))
        finest = network.net().width / columns;
    }
  }
  return finest;
}

std::vector<BoxShape> shapes_in_input(const Network& network, const Dataset& train) {
  return box_shapes(train, float(network.net().width), float(network.net().height));
}

void check_small_objects(const Network& network, const std::vector<BoxShape>& boxes,
                         std::vector<Finding>& findings) {
  const int stride = finest_stride(network);
  if (!stride) return;
  const auto small = std::count_if(boxes.begin(), boxes.end(), [&](BoxShape b) {
    return b.width * b.height < float(stride) * float(stride) / 4;
  });
  if (!small) return;
  const Severity severity = small * 20 > int64_t(boxes.size()) ? Severity::warning : Severity::note;
  findings.push_back(
      {severity,
       "small objects",
       small,
       fmt::format(
           "{} of {} boxes are smaller than {} x {} pixels at {}x{}, half a cell of the finest map: a "
           "larger width and height, a head on an earlier layer, or smaller pieces of the images "
           "(--tile) would show them",
           small, boxes.size(), stride / 2, stride / 2, network.net().width, network.net().height),
       {}});
}

size_t bytes_of(const Network& network) {
  const MemoryPlan& memory = network.memory();
  return memory.bytes + memory.lasting + memory.parameters;
}

// That train and that measure mAP and the validation loss.
struct TrainingNetworks {
  Network training, score, loss;
};

TrainingNetworks training_networks(const CheckOptions& options) {
  NetworkOptions build;
  build.lenient = true;  // what is wrong has been told
  build.build.device = options.device;
  NetworkOptions score = build;
  score.build.training = false;
  const std::vector<Section> sections = read_cfg(options.cfg);
  return {Network(sections, build), Network(sections, score),
          Network(sections, ValidationLoss::options_of(build))};
}

// Of a training in bytes: the plans, the parameters with all that belongs to them, and the batches that are
// made ahead. Nothing if not even the plans can be allocated.
std::optional<size_t> training_bytes(TrainingNetworks& networks, int mini_batch) {
  Network& network = networks.training;
  const NetSection& net = network.net();
  const MultiScale scale(net, network.heads().back()->augmentation().random, 0);
  const auto [width, height] = scale.largest();
  try {
    network.plan(mini_batch, width, height);
    networks.score.plan(std::clamp(mini_batch, 1, 8), net.width, net.height);
    networks.loss.plan(ValidationLoss::kLargestBatch, net.width, net.height);
  } catch (const Error&) {
    return std::nullopt;
  }
  const size_t image = size_t(width) * size_t(height) * size_t(net.channels) * sizeof(float);
  const size_t ahead = network.device() == Device::cpu ? 4 * size_t(mini_batch) * image : 0;
  return bytes_of(network) + optimizer_bytes(net, network.parameters()) + bytes_of(networks.score) +
         bytes_of(networks.loss) + ahead;
}

}  // namespace

void check_objects(const Network& network, const Dataset& train, std::vector<Finding>& findings) {
  if (const std::string crowded = tell_crowded(train, network.truth_capacity()); !crowded.empty())
    findings.push_back({Severity::warning, "crowded", 0, crowded, {}});
  check_small_objects(network, shapes_in_input(network, train), findings);
}

// Heads with anchors of their own, which share the boxes by shape.
void check_anchors(const Network& network, const Dataset& train, std::vector<Finding>& findings) {
  const std::vector<BoxShape> boxes = shapes_in_input(network, train);
  std::vector<BoxShape> all;
  std::vector<int> owner;  // the layer of each
  for (size_t i = 0; i < network.nodes().size(); ++i)
    if (const Head* head = network.nodes()[i].layer->head())
      for (const Anchor& a : head->anchor_shapes()) all.push_back({a.w, a.h}), owner.push_back(int(i));
  if (all.empty() || boxes.empty()) return;
  const AnchorFit fit = anchor_fit(boxes, all);
  std::string better;
  double best = fit.mean_iou;
  try {
    const std::vector<BoxShape> clusters = cluster_shapes(boxes, int(all.size()));
    best = anchor_fit(boxes, clusters).mean_iou;
    better = anchors_text(clusters);
  } catch (const Error&) {  // fewer shapes than anchors: every box has one that fits
  }
  const bool poor = best - fit.mean_iou > 0.1;
  findings.push_back(
      {poor ? Severity::warning : Severity::note,
       "anchors",
       int64_t(all.size()),
       fmt::format("{} anchors overlap the boxes by {:.1f}% on average, and {:.1f}% of the boxes by "
                   "half or more; those of calc_anchors would by {:.1f}%{}",
                   all.size(), 100 * fit.mean_iou, 100 * fit.reached, 100 * best,
                   better.empty() ? "" : ": anchors = " + better),
       {}});
  std::map<int, int64_t> share;
  for (const int layer : owner) share[layer] = 0;
  for (const BoxShape& box : boxes) ++share[owner[size_t(best_anchor(box, all))]];
  for (const auto& [layer, count] : share)
    if (count * 200 < int64_t(boxes.size()))
      findings.push_back({Severity::note,
                          "idle head",
                          count,
                          fmt::format("{} has {} of {} boxes to learn: its anchors fit hardly any",
                                      network.where(layer), count, boxes.size()),
                          {}});
}

void check_memory(const CheckOptions& options, std::vector<Finding>& findings) {
  TrainingNetworks networks = training_networks(options);
  const NetSection& net = networks.training.net();
  const bool on_gpu = options.device == Device::cuda && cuda::has_gpu_kernels();
  const size_t there = options.memory ? *options.memory : on_gpu ? cuda::free_memory() : available_memory();
  const auto fits = [&](std::optional<size_t> needed) { return needed && (!there || *needed <= there); };
  const auto needed = training_bytes(networks, net.mini_batch());
  const std::string text =
      fmt::format("training in mini-batches of {} needs {}, and {:.0f} MiB are free", net.mini_batch(),
                  needed ? fmt::format("{:.0f} MiB", double(*needed) / kMebibyte) : "more than that",
                  double(there) / kMebibyte);
  if (fits(needed)) {
    findings.push_back({Severity::note, "memory", 0, text, {}});
    return;
  }
  for (int subdivisions = net.subdivisions + 1; subdivisions <= net.batch; ++subdivisions)
    if (net.batch % subdivisions == 0 && fits(training_bytes(networks, net.batch / subdivisions))) {
      findings.push_back({Severity::error,
                          "memory",
                          subdivisions,
                          fmt::format("{}: subdivisions={} fits", text, subdivisions),
                          {}});
      return;
    }
  findings.push_back(
      {Severity::error,
       "memory",
       0,
       fmt::format("{}: no subdivisions make it fit; a smaller width and height, or random=0, need less",
                   text),
       {}});
}

}  // namespace osprey
