// What is given to the sub-commands that look at images.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "data/image.h"

namespace osprey {

// Files as they are, the images in folders (sorted), the lines of .txt lists.
std::vector<std::string> all_images(const std::vector<std::string>& given);

// Reads them in batches, and hands over those that could be read. The others are told as warnings; one is an
// Error with `strict`, or if it is all that was asked for. Returns how many they were.
int for_each_readable(const std::vector<std::string>& paths, int batch, int channels, bool strict,
                      const std::function<void(const std::vector<std::string>& paths,
                                               const std::vector<const ByteImage*>& images)>& use);

// Error if there are some, after all else is done.
void fail_if_broken(int broken, size_t of);

}  // namespace osprey
