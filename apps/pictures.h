// What is shown of detections: the names of their classes, and pictures of them.
#pragma once

#include <string>
#include <vector>

#include "data/image.h"
#include "models/detections.h"

namespace osprey {

// One for each class, from a file with one a line; "class 0", "class 1", ... without a file. Error: a file
// with more or fewer names.
std::vector<std::string> class_names(const std::string& path, int classes);

// The image with all boxes and their names, the surest on top.
Image drawn(const ByteImage& image, const std::vector<Detection>& found,
            const std::vector<std::string>& names);

}  // namespace osprey
