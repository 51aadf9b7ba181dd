// Changes of trained weights that need no training: for another use of them, or for another input. All are of
// the host's side of a network that never trains, before prepare().
#pragma once

#include <string>
#include <vector>

#include "models/network.h"

namespace osprey {

// The batch norm of each [convolutional] and [connected] goes into its weights and biases; what is left of it
// changes nothing: scale 1, mean 0, and a variance that with epsilon is 1.
void fold_batch_norm(Network& network);
// The sections of a network that has none.
std::vector<Section> without_batch_norm(std::vector<Section> sections);

// The values of all parameters that `to` has, from those of `from` with the same name.
void copy_parameters(const Network& from, Network& to);

// The layers of a classifier become those of a detector with the same classes: all as they are but the last
// convolution, whose filters become those of the classes of every anchor. What tells the first anchor's box
// and its objectness tells the others', too. Both networks end with that convolution, the detector with its
// head behind.
void graft_classes(Network& classifier, Network& detector);

// Each value becomes the mean of those in the files. Error: a file that does not fill the network.
void average_weights(Network& network, const std::vector<std::string>& files);

// The first convolution takes B, G, R for R, G, B. Error: it does not read three channels.
void swap_red_and_blue(Network& network);

// The first convolution takes x for factor x + shift: weights of images in -1 .. 1 serve those in 0 .. 1 with
// 2 and -1, as Darknet's rescale does. At the edges, where the padding stays 0, it is approximate.
void rescale_input(Network& network, float factor, float shift);

}  // namespace osprey
