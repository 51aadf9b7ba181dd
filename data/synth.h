// The built-in data sets: scenes seen from above, drawn here, with exact boxes. Cars, trucks, ships, planes
// and storage tanks on land, water and roads, among trees, rocks and painted marks that are no objects. In
// the usual set they have 6 to 56 pixels; in the tiny one 4 to 12, and there are many, among more that
// resembles them. Scene i of a seed is always the same picture.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "data/image.h"

namespace osprey {

enum class SynthKind { usual, tiny };
inline constexpr const char* kSynthKindNames[] = {"usual", "tiny"};

struct SynthOptions {
  SynthKind kind = SynthKind::usual;
  int images = 400, valid_images = 100;
  int width = 256, height = 256;
  uint64_t seed = 1;
  std::string format = "darknet";         // darknet, voc or coco
  int min_objects = 6, max_objects = 12;  // per 256x256 pixels
};
SynthOptions synth_options(SynthKind kind);  // with as many objects as the kind has

struct SynthScene {
  Image image;
  std::vector<Label> labels;
};

const std::vector<std::string>& synth_names();

// Scene `index`: 0 .. images-1 are for training, those after them for validation. Labels bound the pixels
// that the object covers at least half. Error: a size out of 32..8192, numbers of objects out of order.
SynthScene draw_scene(const SynthOptions& options, int64_t index);

// Writes train and valid images, their labels, the lists, the names and synth.data to a folder, which is
// made. Images are drawn on all cores. Error: unknown format, nothing can be written there.
void write_synth(const SynthOptions& options, const std::string& folder);

}  // namespace osprey
