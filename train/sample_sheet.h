// The first images of a training as the network sees them, with what they are said to show: most mistakes in
// labels, and in the keys of augmentation, show here.
#pragma once

#include <string>
#include <vector>

#include "data/loader.h"

namespace osprey {

// At most 16 of a batch, with their boxes, or of a classifier's with the targets of their classes. images:
// [batch,height,width,channels] as they were made of it.
Image sample_sheet(const Batch& batch, const std::vector<float>& images, int channels,
                   const std::vector<std::string>& names);

}  // namespace osprey
