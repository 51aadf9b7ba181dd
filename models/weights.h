// Darknet's .weights files: a header, then float32 arrays in the order of the layers, with no names and no
// shapes; the .cfg gives both. This is the only place that knows their layout (NCHW).
#pragma once

#include <cstdint>
#include <string>

#include "models/network.h"

namespace osprey {

struct WeightsHeader {
  int32_t major = 0, minor = 2, revision = 5;
  uint64_t seen = 0;   // images that the network was trained on
  int seen_bytes = 8;  // 4 in files before version 0.2

  int bytes() const { return 12 + seen_bytes; }
  bool transposed() const {
    return major > 1000 || minor > 1000;
  }  // [connected] weights lie [inputs, outputs]
};

struct LoadedWeights {
  WeightsHeader header;
  int layers = 0;  // how many layers of the network the file reaches: all, or those of a backbone
  bool complete = false;
};

enum class Coverage {
  whole,    // a file that does not reach the last layer is an error
  backbone  // it may end after any layer (yolov4.conv.137 and the like); the rest keeps its initial values
};

// Fills the parameters from the file. A file that ends inside of a layer, is longer than the network, is not
// weights at all, or holds values that are not finite, is an Error that names the layer and the bytes
// expected and found; the parameters are then as they were.
LoadedWeights load_weights(const std::string& path, Network& network, Coverage coverage);

// Loads a network that never trains and whose parameters will not change: prepares each layer as soon as its
// parameters are there (Network::prepare_for_good), so that on the CPU those of all layers are never in
// memory together. The file must be whole; after an Error the network is of no use.
void load_for_good(const std::string& path, Network& network);

// Writes the layers 0 .. layers-1 (all by default); what was read is written back to the same bytes.
void save_weights(const std::string& path, const Network& network, WeightsHeader header, int layers = -1);

// One parameter's values as PyTorch keeps them: [out, in, h, w] or [out, inputs], images as c, h, w; whatever
// the .cfg says of the .weights file. On the host's side only.
void set_values(Network& network, const ParameterSpan& span, const std::vector<float>& values);

int64_t weights_bytes(const Network& network, const WeightsHeader& header);  // of a whole file

}  // namespace osprey
