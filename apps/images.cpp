#include "apps/images.h"

#include <filesystem>
#include <set>

#include "core/error.h"
#include "core/file.h"
#include "data/image.h"
#include "data/text_file.h"

namespace osprey {

namespace fs = std::filesystem;

std::vector<std::string> all_images(const std::vector<std::string>& given) {
  std::vector<std::string> images;
  for (const std::string& path : given) {
    if (is_folder(path)) {
      std::set<std::string> inside;
      for (const auto& entry : fs::directory_iterator(path))
        if (entry.is_regular_file() && is_image_name(entry.path().string()))
          inside.insert(entry.path().string());
      if (inside.empty()) fail("{}: no image in this folder", path);
      images.insert(images.end(), inside.begin(), inside.end());
    } else if (path.ends_with(".txt") || path.ends_with(".list")) {
      const std::vector<std::string> lines = read_lines(path, "a list of images, one path a line");
      size_t listed = 0;
      for (const std::string& line : lines)
        if (!line.empty()) images.push_back(line), ++listed;
      if (!listed) fail("{}: the list of images is empty", path);
    } else {
      images.push_back(path);
    }
  }
  return images;
}

}  // namespace osprey
