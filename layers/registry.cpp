// Every layer of the engine, by hand and in the order of docs/cfg.md: one line to add one. No static
// initialisers, which linkers drop from static libraries.
#include <map>

#include "layers/layer.h"

namespace osprey {

// A line for each, so that two that are added do not meet.
// clang-format off
extern const LayerType
    convolutional,
    deconvolutional,
    connected,
    batchnorm,
    group_norm,
    activation,
    maxpool,
    avgpool,
    route,
    shortcut,
    upsample,
    reorg,
    reorg3d,
    dropout,
    scale,
    softmax,
    cost,
    scale_channels,
    sam,
    l2norm,
    region,
    yolo,
    retina,
    ssd,
    rpn,
    proposals,
    roi_align,
    roi_pool,
    roi_sampler,
    rcnn,
    spp;

const std::vector<const LayerType*>& layer_types() {
  static const std::vector<const LayerType*> all = {
      &convolutional,
      &deconvolutional,
      &connected,
      &batchnorm,
      &group_norm,
      &activation,
      &maxpool,
      &avgpool,
      &route,
      &shortcut,
      &upsample,
      &reorg,
      &reorg3d,
      &dropout,
      &scale,
      &softmax,
      &cost,
      &scale_channels,
      &sam,
      &l2norm,
      &region,
      &yolo,
      &retina,
      &ssd,
      &rpn,
      &proposals,
      &roi_align,
      &roi_pool,
      &roi_sampler,
      &rcnn,
      &spp,
  };
  // clang-format on
  return all;
}

const LayerType* find_layer_type(const std::string& name) {
  for (const LayerType* type : layer_types())
    if (name == type->name || (type->alias && name == type->alias)) return type;
  return nullptr;
}

std::string why_unsupported(const std::string& section) {
  static const std::map<std::string, const char*> known = {
      {"rnn", "recurrent layers are not part of this engine"},
      {"gru", "recurrent layers are not part of this engine"},
      {"lstm", "recurrent layers are not part of this engine"},
      {"crnn", "recurrent layers are not part of this engine"},
      {"conv_lstm", "recurrent layers are not part of this engine"},
      {"history", "recurrent layers are not part of this engine"},
  };
  static const std::vector<std::string> later = {
      "local",         "local_avgpool", "local_avg", "normalization", "lrn",      "crop",     "detection",
      "Gaussian_yolo", "contrastive",   "empty",     "silence",       "implicit", "logistic", "iseg"};
  if (const auto it = known.find(section); it != known.end()) return it->second;
  for (const std::string& name : later)
    if (name == section) return "this section of Darknet is not supported yet";
  return "";
}

}  // namespace osprey
