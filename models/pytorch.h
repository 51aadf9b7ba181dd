// Weights that were trained with PyTorch, by the names of its modules, for a network of ours: torchvision's
// ResNet and VGG, ResNets for CIFAR, and whatever is named alike.
#pragma once

#include <string>
#include <vector>

#include "models/network.h"

namespace osprey {

struct NamedArray {
  std::string name;  // "layer1.0.conv1.weight"
  std::vector<int> shape;
  std::vector<float> values;
};

// From .safetensors or .npz. Error: another file, or what the readers of the two refuse.
std::vector<NamedArray> read_named_arrays(const std::string& path);

// Fills the parameters, on the host's side, from the modules of a file: convolutions and fully connected
// layers in the order that their names give, each with the batch norm that belongs to its name, for the
// network's [convolutional] and [connected] in the order of the .cfg, without those that serve an [rpn]
// alone: the last stage of a backbone may come after them. Returns how many layers of the network were
// filled: all, or, where the file holds a backbone, those before the first with parameters that it does not
// reach. Error, naming array and layer: a shape that does not fit, batch norm on one side only, arrays that
// are left over or that are no part of such a module.
int take_named_arrays(Network& network, const std::vector<NamedArray>& arrays, const std::string& file);

}  // namespace osprey
