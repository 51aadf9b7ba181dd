// osprey bench: how long the network takes, by itself: no image files, no boxes drawn; and what the machine
// does at most.
#include <fmt/core.h>

#include <algorithm>
#include <ctime>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "apps/commands.h"
#include "apps/layer_times.h"
#include "apps/load.h"
#include "apps/probe.h"
#include "apps/timing.h"
#include "core/error.h"
#include "core/parallel.h"
#include "core/random.h"
#include "cuda/runtime.h"
#include "models/detector.h"
#include "models/weights.h"
#include "train/iteration.h"

namespace osprey {
namespace {

struct Arguments {
  LoadOptions load;
  int iterations = 20, warmup = 3;
  bool training = false, detections = false, layers = false, probe = false;
  float threshold = 0.25f;  // of detections
};

// What iterations took, in milliseconds: by the clock, and of the processor in all threads, which on a busy
// machine says more of a single thread.
struct Times {
  std::vector<double> wall, processor;

  template <class Body>
  void add(Body&& body) {
    const std::clock_t start = std::clock();
    wall.push_back(milliseconds(body));
    processor.push_back(1000.0 * double(std::clock() - start) / CLOCKS_PER_SEC);
  }
  void forget_first(int count) {
    wall.erase(wall.begin(), wall.begin() + count);
    processor.erase(processor.begin(), processor.begin() + count);
  }
};

// The most memory that this process has held so far.
double peak_mib() {
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line))
    if (line.starts_with("VmHWM:")) return std::stod(line.substr(6)) / 1024;
  return 0;
}

// What is taken of a GPU's memory; 0 elsewhere. It includes what the libraries load, not the driver's
// context.
class DeviceMemory {
 public:
  explicit DeviceMemory(Device device) : counts_(device == Device::cuda && cuda::has_gpu_kernels()) {
    if (counts_) free_ = cuda::free_memory();
  }
  double mib() const { return counts_ ? (double(free_) - double(cuda::free_memory())) / (1 << 20) : 0; }

 private:
  bool counts_;
  size_t free_ = 0;
};

// Random numbers, never zeros: neither caches nor arithmetic may get off lightly.
std::vector<float> random_values(size_t count) {
  std::vector<float> values(count);
  Random random(1, Purpose::test);
  for (float& v : values) v = random.uniform();
  return values;
}

nlohmann::ordered_json json_of(const Ceilings& c) {
  return {{"threads", c.threads},   {"avx2_gflops", c.avx2}, {"avx512_gflops", c.avx512},
          {"fp32_gflops", c.fp32},  {"bf16_gflops", c.bf16}, {"read_gbytes", c.read},
          {"triad_gbytes", c.triad}};
}

nlohmann::ordered_json json_of(const Network& network, const std::vector<LayerFigures>& figures) {
  nlohmann::ordered_json layers = nlohmann::ordered_json::array();
  for (size_t k = 0; k < figures.size(); ++k) {
    const Node& node = network.nodes()[k];
    const Shape& y = node.output;
    nlohmann::ordered_json layer = {{"layer", k},
                                    {"type", node.type->name},
                                    {"window", node.layer->summary().window},
                                    {"output", {y.w, y.h, y.c}},
                                    {"milliseconds", figures[k].milliseconds},
                                    {"least_milliseconds", figures[k].least_milliseconds},
                                    {"gflops", figures[k].gflops}};
    if (figures[k].of_roof > 0) layer["of_roof"] = figures[k].of_roof;
    if (const int worker = node.worker(int(k)); worker != int(k)) layer["done_by"] = worker;
    layers.push_back(layer);
  }
  return layers;
}

nlohmann::ordered_json json_of(const Arguments& a, const Times& times, const DeviceMemory& memory) {
  const double per_image = median(times.wall) / a.load.batch;
  nlohmann::ordered_json json = {{"mode", a.training     ? "training"
                                          : a.detections ? "detection"
                                                         : "inference"},
                                 {"batch", a.load.batch},
                                 {"threads", threads()},
                                 {"milliseconds", times.wall},
                                 {"processor_milliseconds", times.processor},
                                 {"milliseconds_per_image", per_image},
                                 {"images_per_second", 1000 / per_image},
                                 {"peak_mib", peak_mib()}};
  if (memory.mib() > 0) json["device_mib"] = memory.mib();
  return json;
}

// The images again and again, until the mini-batch is full. Every time anew, since later layers may be
// planned over the input's memory; but what is on a GPU once stays there, as a peer's images do.
void give(Network& network, const std::vector<float>& images, bool first) {
  if (network.device() != Device::cpu && !first) return network.keep_images();
  const View<float> input = network.input().view<float>();
  for (float* to = input.begin(); to != input.end(); to += images.size())
    std::copy(images.begin(), images.end(), to);
}

// Of [proposals]: as many as there is room for.
void fill_proposals(const Network& network) {
  const int capacity = network.proposal_capacity();
  if (capacity == 0) return;
  Random random(3, Purpose::test);
  const Proposals& proposals = network.proposals();
  std::fill(proposals.counts.begin(), proposals.counts.end(), capacity);
  float* row = proposals.boxes.data;
  for (int i = 0; i < network.input().shape.n * capacity; ++i, row += 5) {
    row[0] = random.uniform(0.1f, 0.9f);
    row[1] = random.uniform(0.1f, 0.9f);
    row[2] = random.uniform(0.03f, 0.4f);
    row[3] = random.uniform(0.03f, 0.4f);
    row[4] = 1;
  }
}

void measure_inference(const Arguments& a) {
  const DeviceMemory memory(a.load.device.device());
  const auto network = load_network(a.load);
  // One image for all, so that the memory which is told is the network's.
  const Shape input = network->input().shape;
  const std::vector<float> images = random_values(size_t(input.elements() / input.n));
  fill_proposals(*network);
  std::optional<Detector> detector;
  if (a.detections) detector.emplace(*network, DetectorSettings{a.threshold, {}, {}});
  Times times;
  for (int i = 0; i < a.warmup + a.iterations; ++i) {
    give(*network, images, i == 0);
    times.add([&] {
      if (detector) {
        detector->run();
      } else {
        network->forward();
        network->wait();
      }
    });
  }
  times.forget_first(a.warmup);
  nlohmann::ordered_json json = json_of(a, times, memory);
  std::string table;
  if (a.layers) {
    Ceilings ceilings;
    if (network->device() == Device::cpu) {
      ceilings = measure_ceilings(threads());
      json["ceilings"] = nlohmann::ordered_json::array({json_of(ceilings)});
    }
    const LayerRuns runs = {a.load.device.precision().value_or(network->net().precision), a.warmup,
                            a.iterations, [&](bool first) { give(*network, images, first); }};
    const std::vector<LayerFigures> figures = measure_layers(*network, runs, ceilings);
    json["layers"] = json_of(*network, figures);
    table = table_of(*network, figures);
  }
  fmt::print("{}\n{}", json.dump(), table);
}

// One mini-batch is one batch, so that an iteration is one forward, backward and update.
std::vector<Section> sections_with_batch(const LoadOptions& load) {
  std::vector<Section> sections = read_cfg(load.cfg);
  Section& net = sections[0];
  std::erase_if(net.entries, [](const Entry& e) { return e.key == "batch" || e.key == "subdivisions"; });
  net.entries.push_back({"batch", std::to_string(load.batch), net.line});
  net.entries.push_back({"subdivisions", "1", net.line});
  return sections;
}

// Eight boxes of several sizes in every image.
void fill_truths(const Network& network, int classes) {
  const Truths& truths = network.truths();
  const int boxes = std::min(8, network.truth_capacity());
  Random random(2, Purpose::test);
  for (int n = 0; n < network.input().shape.n; ++n) {
    truths.counts.data[n] = boxes;
    float* box = truths.boxes.data + size_t(n) * size_t(network.truth_capacity()) * 5;
    for (int t = 0; t < boxes; ++t, box += 5) {
      box[0] = random.uniform(0.2f, 0.8f);
      box[1] = random.uniform(0.2f, 0.8f);
      box[2] = random.uniform(0.03f, 0.4f);
      box[3] = random.uniform(0.03f, 0.4f);
      box[4] = float(random.below(classes));
    }
  }
}

// Of a classifier: a class for every image.
void fill_targets(View<float> targets) {
  Random random(2, Purpose::test);
  std::fill(targets.begin(), targets.end(), 0.0f);
  const int values = targets.size() / targets.shape.n;
  for (int n = 0; n < targets.shape.n; ++n) targets[n * values + int(random.below(values))] = 1;
}

void measure_training(const Arguments& a) {
  const DeviceMemory memory(a.load.device.device());
  NetworkOptions options;
  options.lenient = a.load.lenient;
  options.build.device = a.load.device.device();
  options.build.convolution = a.load.device.convolution();
  options.precision = a.load.device.precision();
  Network network(sections_with_batch(a.load), options);
  const std::vector<Head*> heads = network.heads();
  network.plan(a.load.batch, network.net().width, network.net().height);
  for (const ParameterSpan& span : network.parameters().spans())
    network.parameters().read_all(span, values_to_measure(network.parameters()));
  network.parameters().upload();
  if (!a.load.weights.empty()) load_weights(a.load.weights, network, Coverage::whole);

  const std::vector<float> images = random_values(size_t(network.input().shape.elements()));
  const std::vector<std::string> names = {"the random images of bench"};
  bool first = true;
  const FillMiniBatch fill = [&](Network& n) -> const std::vector<std::string>& {
    give(n, images, first);
    first = false;
    if (!heads.empty()) fill_truths(n, heads.back()->classes());
    fill_proposals(n);
    if (n.targets()) fill_targets(n.targets());
    return names;
  };
  Optimizer optimizer(network.net(), network.parameters(), network.stream());
  TrainingStep step(network, optimizer);
  Times times;
  for (int i = 0; i < a.warmup + a.iterations; ++i) times.add([&] { step.run(i + 1, 0, fill); });
  times.forget_first(a.warmup);
  fmt::print("{}\n", json_of(a, times, memory).dump());
}

// For one thread, and for all that --threads gives.
void probe() {
  const int all = threads();
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  json.push_back(json_of(measure_ceilings(1)));
  if (all > 1) json.push_back(json_of(measure_ceilings(all)));
  fmt::print("{}\n", nlohmann::ordered_json{{"ceilings", json}}.dump());
}

void run_bench(const Arguments& a) {
  if (a.probe) return probe();
  if (a.load.cfg.empty()) fail("bench needs a .cfg file, or --probe");
  if (a.training && a.layers) fail("--layers measures inference: leave --training out");
  if (a.training && a.detections) fail("--detections measures inference: leave --training out");
  a.training ? measure_training(a) : measure_inference(a);
}

}  // namespace

void add_bench(CLI::App& app) {
  auto a = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("bench", "Measure the time of inference or of a training iteration");
  command->add_option("cfg", a->load.cfg, "the .cfg file");
  command->add_option("weights", a->load.weights, "the .weights file (default: random parameters)");
  command->add_option("--batch", a->load.batch, "images at a time")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--iterations", a->iterations, "how often the time is taken")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--warmup", a->warmup, "iterations before, whose time does not count")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  add_device_options(*command, a->load.device);
  command->add_flag("--training", a->training,
                    "forward, loss, backward and update with random images and boxes");
  command->add_flag("--detections", a->detections,
                    "inference to the end: also the boxes, with non-maximum suppression");
  command->add_option("--threshold", a->threshold, "the least score of --detections")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command->add_flag("--layers", a->layers,
                    "also a table of what each layer takes, beside what this machine does at most");
  command->add_flag("--probe", a->probe,
                    "instead of a network: what this machine does at most, on one thread and on --threads");
  command->add_flag("--lenient", a->load.lenient, "unknown keys of the .cfg are warnings, not errors");
  command->callback([a] { run_bench(*a); });
}

}  // namespace osprey
