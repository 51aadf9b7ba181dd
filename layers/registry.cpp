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
    local,
    connected,
    batchnorm,
    group_norm,
    normalization,
    activation,
    maxpool,
    avgpool,
    local_avgpool,
    route,
    shortcut,
    upsample,
    reorg,
    reorg3d,
    dropout,
    crop,
    implicit,
    empty,
    scale,
    softmax,
    logistic_layer,
    cost,
    scale_channels,
    sam,
    l2norm,
    detection,
    region,
    yolo,
    gaussian_yolo,
    contrastive,
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
      &local,
      &connected,
      &batchnorm,
      &group_norm,
      &normalization,
      &activation,
      &maxpool,
      &avgpool,
      &local_avgpool,
      &route,
      &shortcut,
      &upsample,
      &reorg,
      &reorg3d,
      &dropout,
      &crop,
      &implicit,
      &empty,
      &scale,
      &softmax,
      &logistic_layer,
      &cost,
      &scale_channels,
      &sam,
      &l2norm,
      &detection,
      &region,
      &yolo,
      &gaussian_yolo,
      &contrastive,
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
  const auto among = [&](const char* names) {
    return names && fmt::format(" {} ", names).find(fmt::format(" {} ", name)) != std::string::npos;
  };
  for (const LayerType* type : layer_types())
    if (name == type->name || among(type->aliases)) return type;
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
      {"iseg", "this section of Darknet is not supported yet"},
  };
  const auto found = known.find(section);
  return found == known.end() ? "" : found->second;
}

}  // namespace osprey
