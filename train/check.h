// What will go wrong with a training, found before it: in the network, the images and their labels, and what
// the two have to do with each other.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "models/network.h"

namespace osprey {

enum class Severity { note, warning, error };
inline constexpr const char* kSeverityNames[] = {"note", "warning", "error"};

struct Finding {
  Severity severity = Severity::note;
  std::string what;   // a word for programs: "outside", "memory", ...
  int64_t count = 0;  // of images, boxes, classes: as the text says; 0 where there is nothing to count
  std::string text;   // one line for people
  std::vector<std::string> examples;  // the first ones
};

struct CheckOptions {
  std::string cfg, data;
  Device device = Device::cpu;
  bool lenient = false;
  int channels = 0;              // that images must have; 0: any. check_training() takes the network's
  bool negatives = false;        // an image without a label file shows nothing, on purpose
  std::optional<size_t> memory;  // bytes that there are, instead of what the device says
};

// All findings, in the order in which they were looked for. What makes further looking impossible is the last
// one. Reads every image of both lists, on all cores.
std::vector<Finding> check_training(const CheckOptions& options);

// The parts of it. -----------------------------------------------------------------------------------------

struct CheckedSet {
  const char* name = "";               // train or valid
  Dataset dataset;                     // with the sizes of all images that can be read
  std::vector<uint64_t> fingerprints;  // of each image's pixels; 0 where it cannot be read
};

// Reads a split and decodes its images. Finds what is missing, broken, empty, twice there or over the edge.
CheckedSet check_set(const DataFile& data, Split split, const CheckOptions& options,
                     std::vector<Finding>& findings);
// Images that are in both lists.
void check_overlap(const CheckedSet& train, const CheckedSet& valid, std::vector<Finding>& findings);
// Classes that no training image shows, or few.
void check_class_counts(const Dataset& train, std::vector<Finding>& findings);
// Objects that are too small, images with more objects than are learnt.
void check_objects(const Network& network, const Dataset& train, std::vector<Finding>& findings);
// Anchors that do not fit the boxes. Looks for better ones, which takes seconds.
void check_anchors(const Network& network, const Dataset& train, std::vector<Finding>& findings);
// Whether the device has the memory, and else with which subdivisions it has.
void check_memory(const CheckOptions& options, std::vector<Finding>& findings);

}  // namespace osprey
