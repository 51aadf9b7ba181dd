// What is given to the sub-commands that look at images.
#pragma once

#include <string>
#include <vector>

namespace osprey {

// Files as they are, the images in folders (sorted), the lines of .txt lists.
std::vector<std::string> all_images(const std::vector<std::string>& given);

}  // namespace osprey
