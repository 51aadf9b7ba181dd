// What a network subtracts from its images and divides them by, for both devices.
#pragma once

#include "core/device.h"

namespace osprey {

// Of each channel, in units of the images, 0..1. A value becomes (value - mean) / deviation.
struct Normalisation {
  static constexpr int kMostChannels = 4;  // as many as image files have
  bool on = false;
  float mean[kMostChannels] = {0, 0, 0, 0}, deviation[kMostChannels] = {1, 1, 1, 1};

  HOST_DEVICE float operator()(float value, int channel) const {
    return (value - mean[channel]) / deviation[channel];
  }
};

}  // namespace osprey
