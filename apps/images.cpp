#include "apps/images.h"

#include <filesystem>
#include <set>

#include "core/error.h"
#include "core/file.h"
#include "data/image.h"
#include "data/text_file.h"
#include "train/image_batches.h"

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

int for_each_readable(
    const std::vector<std::string>& paths, int batch, int channels, bool strict,
    const std::function<void(const std::vector<std::string>&, const std::vector<const ByteImage*>&)>& use) {
  Dataset set;
  set.samples.resize(paths.size());
  for (size_t i = 0; i < paths.size(); ++i) set.samples[i].image = paths[i];
  int broken = 0;
  for_each_batch(
      set, batch, channels,
      [&](const ImageBatch& read) {
        std::vector<std::string> readable;
        std::vector<const ByteImage*> images;
        for (int i = 0; i < read.count(); ++i) {
          if (read.broken[size_t(i)]) continue;
          readable.push_back(paths[size_t(read.first + i)]);
          images.push_back(&read.images[size_t(i)]);
        }
        broken += read.count() - int(images.size());
        if (!images.empty()) use(readable, images);
      },
      strict || paths.size() == 1);
  return broken;
}

void fail_if_broken(int broken, size_t of) {
  if (broken) fail("{} of {} images could not be read; the others are done", broken, of);
}

}  // namespace osprey
