// The images of a set, one batch after the other, for networks that look at all of them once.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "data/image.h"

namespace osprey {

struct ImageBatch {
  int first = 0;  // the sample of images[0]
  std::vector<ByteImage> images;
  std::vector<bool> broken;  // its image is a black pixel

  int count() const { return int(images.size()); }
  std::vector<const ByteImage*> pointers() const;
};

// Reads on all threads; the last batch may be smaller. An image that cannot be read is told as a warning, or
// is an Error with `strict`.
void for_each_batch(const Dataset& dataset, int batch, int channels,
                    const std::function<void(const ImageBatch&)>& use, bool strict = false);

}  // namespace osprey
