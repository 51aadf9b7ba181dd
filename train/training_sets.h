// What a training reads: its sets of images, and how its samples are to be drawn.
#pragma once

#include "data/dataset.h"
#include "data/loader.h"
#include "models/network.h"

namespace osprey {

// Boxes, with proposals if the network takes some, or classes for a network that classifies.
Dataset load_set(const Network& network, const DataFile& data, Split split, bool strict);

// Of a head that renumbers the classes of labels (`map`) these are two things.
enum class ClassesOf { labels, detections };

// Error: the network does not have the classes that the data set names, or none at all. `data`: the file that
// the message names.
void check_classes(const Network& network, const Dataset& set, const std::string& data, ClassesOf of);

struct TrainingSets {
  Dataset train, valid;  // valid: empty where none is wanted
};

// The network must be planned. Error: it has not the classes that the .data file names.
TrainingSets read_training_sets(const Network& network, const DataFile& data, bool wants_valid, bool strict);

// The keys of [net] and of the last head. Error: one that cannot be honoured for this kind of network; what
// has no effect is told.
AugmentOptions augmentation(const Network& network, const Section& net);

}  // namespace osprey
