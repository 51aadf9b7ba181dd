#include "train/crowded.h"

#include <fmt/format.h>

#include <algorithm>

namespace osprey {

std::string tell_crowded(const Dataset& dataset, int most) {
  int64_t images = 0, cut = 0, largest = 0;
  for (const Sample& sample : dataset.samples) {
    const int64_t objects = std::count_if(sample.labels.begin(), sample.labels.end(),
                                          [](const Label& l) { return !l.crowd && !l.difficult; });
    if (objects <= most) continue;
    ++images;
    cut += objects - most;
    largest = std::max(largest, objects);
  }
  if (images == 0) return "";
  return fmt::format(
      "{} of {} training images have more objects than the {} that are learnt of an image, up to {}: {} "
      "objects are cut in every epoch; max={} in all sections that have this key learns them",
      images, dataset.samples.size(), most, largest, cut, largest);
}

}  // namespace osprey
