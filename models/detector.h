// Detection on any device: a network's forward pass, then all heads' boxes of a mini-batch, without
// duplicates.
#pragma once

#include <vector>

#include "cuda/graph.h"
#include "models/detections.h"
#include "models/device_buffer.h"
#include "models/network.h"

namespace osprey {

// On Device::cuda the lists of a mini-batch have fixed capacities: 4096 candidates (16384 where heads list
// only their best) and 8192 detections of an image. An image with more, as an untrained network makes, is
// detected by the host from a copy of the heads' outputs instead: slower, with the same result.
class Detector {
 public:
  // For the mini-batch that the network is planned for now: Network::plan() makes a new Detector necessary.
  // Error: no head, or heads that differ in their number of classes.
  Detector(Network& network, DetectorSettings settings);

  // Where the images of the mini-batch lie, in the host's memory; to be filled before run(), as the network's
  // input is.
  View<ImagePlace> places() const;
  // For each image by falling score, as detections() in models/detections.h. On a device the network and what
  // follows it are one graph.
  std::vector<std::vector<Detection>> run();

  size_t device_bytes() const { return places_.bytes() + counts_.bytes() + lists_memory_.bytes(); }

 private:
  struct Listed {
    bool complete = false;  // the lists had room for all
    std::vector<ListedDetection> detections;
  };

  void plan_lists();
  void enqueue();  // only work of the device, in the order of the network's stream; nothing on the CPU
  void enqueue_suppression();
  std::vector<Listed> download() const;  // one for each image
  std::vector<std::vector<Detection>> read() const;
  std::vector<HeadOutput> outputs(std::vector<std::vector<float>>& memory) const;

  Network& network_;
  DetectorSettings settings_;
  NmsSettings nms_;  // of all heads together
  int batch_, classes_;
  DetectionLists lists_;
  DeviceBuffer places_{"where the images of a mini-batch lie"}, counts_{"how much was detected"},
      lists_memory_{"the lists of detections"};
  cuda::Graph graph_;
};

}  // namespace osprey
