#include "apps/darknet/prompt.h"

#include <fmt/core.h>

#include <cstdio>
#include <iostream>

#include "core/error.h"
#include "core/file.h"
#include "core/log.h"
#include "data/text_file.h"

namespace osprey::darknet {

std::string for_images(const std::string& image, const std::function<void(const std::string&)>& use) {
  if (!image.empty()) {
    use(image);
    return "";
  }
  int64_t images = 0, broken = 0;
  std::string line;
  while (fmt::print("Enter Image Path: "), std::fflush(stdout), std::getline(std::cin, line)) {
    if (images == 0 && line.starts_with("\xEF\xBB\xBF")) line.erase(0, 3);
    std::string path(trimmed(line));
    if (path.empty()) continue;
    if (!file_exists(path)) path = with_slashes(path);
    ++images;
    try {
      use(path);
    } catch (const Error& e) {
      fmt::print("\n");
      warn("{}", e.what());
      ++broken;
    }
  }
  fmt::print("\n");
  if (!broken) return "";
  return fmt::format("{} of {} images could not be used; the others are done", broken, images);
}

}  // namespace osprey::darknet
