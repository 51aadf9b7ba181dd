#include "models/edit_weights.h"

#include <algorithm>
#include <map>

#include "cuda/fold.h"
#include "models/weights.h"

namespace osprey {
namespace {

// Of one layer, by what the layer calls them; empty where it has none.
struct LayerParameters {
  View<float> weights, biases, scales, mean, variance;
};

LayerParameters parameters_of(Network& network, int layer) {
  LayerParameters found;
  const std::pair<const char*, View<float>*> names[] = {{"weights", &found.weights},
                                                        {"biases", &found.biases},
                                                        {"scales", &found.scales},
                                                        {"rolling_mean", &found.mean},
                                                        {"rolling_variance", &found.variance}};
  for (const ParameterSpan& span : network.parameters().spans())
    for (const auto& [name, view] : names)
      if (span.layer == layer && span.info.name == std::string(name))
        *view = network.parameters().value(span);
  return found;
}

// The parameters of the first `layers` layers, by name.
void copy_layers(const Network& from, Network& to, int layers) {
  std::map<std::string, View<float>> values;
  for (const ParameterSpan& span : from.parameters().spans())
    if (span.layer < layers) values[span.name] = from.parameters().value(span);
  for (const ParameterSpan& span : to.parameters().spans())
    if (const auto found = values.find(span.name); found != values.end())
      std::copy(found->second.begin(), found->second.end(), to.parameters().value(span).begin());
}

bool can_fold(const std::string& section) { return section == "convolutional" || section == "connected"; }

LayerParameters first_convolution(Network& network, std::string& where) {
  for (size_t i = 0; i < network.nodes().size(); ++i)
    if (network.nodes()[i].type->name == std::string("convolutional")) {
      where = network.where(int(i));
      return parameters_of(network, int(i));
    }
  fail("the network has no [convolutional]");
}

}  // namespace

void fold_batch_norm(Network& network) {
  Stream stream;
  for (size_t i = 0; i < network.nodes().size(); ++i) {
    if (!can_fold(network.nodes()[i].type->name)) continue;
    const LayerParameters p = parameters_of(network, int(i));
    if (!p.scales) continue;
    BatchNorm norm;
    norm.scale = p.scales;
    norm.bias = p.biases;
    norm.rolling_mean = p.mean;
    norm.rolling_variance = p.variance;
    cpu::fold_batchnorm(stream, p.weights, norm, p.weights, p.biases);
    std::fill(p.scales.begin(), p.scales.end(), 1.0f);
    std::fill(p.mean.begin(), p.mean.end(), 0.0f);
    std::fill(p.variance.begin(), p.variance.end(), 1 - norm.epsilon);
  }
}

std::vector<Section> without_batch_norm(std::vector<Section> sections) {
  for (Section& section : sections) {
    const LayerType* type = find_layer_type(section.name);
    if (!type || !can_fold(type->name)) continue;
    std::erase_if(section.entries, [](const Entry& e) {
      return e.key == "batch_normalize" || e.key == "cbn" || e.key == "frozen";
    });
  }
  return sections;
}

void copy_parameters(const Network& from, Network& to) { copy_layers(from, to, int(from.nodes().size())); }

void graft_classes(Network& classifier, Network& detector) {
  const int layer = int(classifier.nodes().size()) - 1;
  copy_layers(classifier, detector, layer);
  const LayerParameters from = parameters_of(classifier, layer), to = parameters_of(detector, layer);
  constexpr int kBox = 5;  // the numbers of a box and its objectness, before those of its classes
  const int classes = from.biases.size(), inputs = from.weights.size() / classes;
  for (int anchor = 0; anchor < to.biases.size(); anchor += kBox + classes) {
    std::copy_n(to.biases.data, kBox, to.biases.data + anchor);
    std::copy_n(to.weights.data, kBox * inputs, to.weights.data + anchor * inputs);
    std::copy_n(from.biases.data, classes, to.biases.data + anchor + kBox);
    std::copy_n(from.weights.data, classes * inputs, to.weights.data + (anchor + kBox) * inputs);
  }
}

void average_weights(Network& network, const std::vector<std::string>& files) {
  Parameters& parameters = network.parameters();
  std::vector<double> sum(parameters.size());
  for (const std::string& file : files) {
    load_weights(file, network, Coverage::whole);
    for (size_t i = 0; i < sum.size(); ++i) sum[i] += double(parameters.values()[i]);
  }
  for (size_t i = 0; i < sum.size(); ++i) parameters.values()[i] = float(sum[i] / double(files.size()));
}

void swap_red_and_blue(Network& network) {
  std::string where;
  const View<float> weights = first_convolution(network, where).weights;
  const int channels = weights.shape.c;
  if (channels != 3) fail("{}: reads {} channels, not red, green and blue", where, channels);
  for (int at = 0; at < weights.size(); at += channels) std::swap(weights[at], weights[at + 2]);
}

void rescale_input(Network& network, float factor, float shift) {
  std::string where;
  const LayerParameters p = first_convolution(network, where);
  const int taps = p.weights.size() / p.biases.size();
  for (int f = 0; f < p.biases.size(); ++f) {
    double sum = 0;
    for (int t = f * taps; t < (f + 1) * taps; ++t) {
      sum += double(p.weights[t]) * shift;
      p.weights[t] *= factor;
    }
    // Before batch norm, which takes the mean off, or as part of the bias.
    if (p.mean)
      p.mean[f] -= float(sum);
    else
      p.biases[f] += float(sum);
  }
}

}  // namespace osprey
