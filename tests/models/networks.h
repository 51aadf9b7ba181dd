// Small networks for the tests of models/ and train/, and how to run them.
#pragma once

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "core/random.h"
#include "models/network.h"

namespace osprey {

// The message's line numbers count from the first character of the text; the file is called "t.cfg".
inline Network network_of(const std::string& cfg, NetworkOptions options = {}) {
  return Network(parse_cfg(cfg, "t.cfg"), options);
}

inline NetworkOptions inference() {
  NetworkOptions options;
  options.build.training = false;
  return options;
}

// Each layer does its own work, and its output can be read.
inline NetworkOptions all_kept() {
  NetworkOptions options = inference();
  options.keep_all = true;
  return options;
}

inline void fill_randomly(View<float> v, uint64_t seed, float low = 0, float high = 1) {
  Random random(seed, Purpose::test);
  for (float& value : v) value = random.uniform(low, high);
}

// Parameters that make a network's values neither vanish nor explode, and no channel like another.
inline void randomise(Parameters& parameters, uint64_t seed) {
  parameters.initialise(seed);
  for (size_t k = 0; k < parameters.spans().size(); ++k) {
    const ParameterSpan& s = parameters.spans()[k];
    if (s.info.drawn()) continue;
    const bool positive = s.info.batch_scale && !s.name.ends_with("mean");  // scales and variances
    fill_randomly(parameters.value(s), seed + 1000 + k, positive ? 0.5f : -0.5f, positive ? 1.5f : 0.5f);
  }
}

// Planned for its own size if none is given, with parameters that make something of every layer.
struct PlannedNetwork : Network {
  explicit PlannedNetwork(const std::string& cfg, int batch = 1, int width = 0, int height = 0,
                          NetworkOptions options = {}, uint64_t seed = 7)
      : Network(parse_cfg(cfg, "t.cfg"), options) {
    plan(batch, width ? width : net().width, height ? height : net().height);
    randomise(parameters(), seed);
    parameters().upload();
    if (!training()) prepare();
  }
};

// Of another network with the same parameters, or of the network itself.
inline ReadParameter values_of(Network& network) {
  const Parameters& all = network.parameters();
  return [&all](const ParameterSpan& span, int first, int last, float* to) {
    const ParameterSpan& own = *std::ranges::find(all.spans(), span.name, &ParameterSpan::name);
    const View<float> values = all.value(own);
    std::memmove(to, values.data + first * own.of_output(),
                 size_t(last - first) * own.of_output() * sizeof(float));
  };
}

inline std::vector<float> copy_of(View<const float> v) { return {v.begin(), v.end()}; }

// Fills the input with the seed's numbers, runs, and copies a layer's output (the last one's by default).
inline std::vector<float> run(Network& network, uint64_t seed, int layer = -1) {
  fill_randomly(network.input(), seed);
  network.forward();
  return network.read(layer < 0 ? int(network.nodes().size()) - 1 : layer);
}

// Truths of a training pass: a box of each class in turn, the same in every image.
inline void put_truths(Network& network, int count, int classes) {
  const Truths& truths = network.truths();
  for (int n = 0; n < network.input().shape.n; ++n) {
    truths.counts[n] = count;
    for (int t = 0; t < count; ++t) {
      const float box[] = {0.2f + 0.25f * float(t), 0.3f + 0.2f * float(t % 2), 0.2f + 0.1f * float(t % 3),
                           0.3f, float(t % classes)};
      for (int e = 0; e < 5; ++e) truths.boxes(n, 0, t, e) = box[e];
    }
  }
}

}  // namespace osprey
