// A network as a file of ONNX, for ONNX Runtime, TensorRT, OpenVINO and others. docs/deploy.md has what the
// file holds; each layer tells its own operators (layers/onnx_graph.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/onnx_file.h"
#include "models/detections.h"
#include "models/network.h"

namespace osprey {

struct OnnxOptions {
  int64_t batch = onnx::kAnyBatch;  // images at a time
  bool raw = false;                 // what heads read, instead of boxes and scores
  // What is left of both by a threshold and hard NMS; the threshold of that is the last head's, if it is not
  // here.
  std::optional<DetectorSettings> suppressed;
};

// The network: planned, with its parameters loaded, on the CPU, and with keep_all, so that no layer does the
// work of another. An Error names the first layer that has no form in ONNX.
onnx::Model to_onnx(const Network& network, const OnnxOptions& options);

}  // namespace osprey
