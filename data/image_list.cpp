#include "data/image_list.h"

#include <algorithm>
#include <filesystem>

#include "core/error.h"
#include "core/file.h"
#include "data/image.h"
#include "data/text_file.h"

namespace osprey {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> images_within(const fs::path& folder) {
  std::vector<std::string> images;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    if (entry.is_regular_file() && is_image_name(entry.path().string()))
      images.push_back(entry.path().lexically_relative(folder).string());
  std::sort(images.begin(), images.end());
  return images;
}

}  // namespace

const char* name_of(Split split) { return split == Split::train ? "train" : "valid"; }

const std::string& list_of(const DataFile& data, Split split) {
  return split == Split::train ? data.train : data.valid;
}

std::vector<std::string> ImageList::read() {
  const std::string& list = list_of(data_, split_);
  if (list.empty()) fail("{}: `{} = LIST` is missing", data_.path, name_of(split_));
  path_ = data_.resolve(list, name_of(split_));
  if (is_folder(path_)) {
    const std::vector<std::string> images = images_within(path_);
    if (images.empty()) fail("{}: no image in this folder", path_);
    return images;
  }
  std::vector<std::string> entries;
  for (const std::string& line : read_lines(path_, "the list of images")) {
    std::string entry(trimmed(line));
    if (entry.empty()) continue;
    if (entry.find('\\') != std::string::npos && find(entry).empty()) entry = with_slashes(entry);
    entries.push_back(std::move(entry));
  }
  if (entries.empty()) fail("{}: the list of images is empty", path_);
  return entries;
}

// Lists are long and of one kind, so the place that served the last entry is tried first.
std::string ImageList::find(const std::string& entry) {
  if (is_folder(path_)) return (fs::path(path_) / entry).string();
  const fs::path here = fs::path(data_.path).parent_path(), beside = fs::path(path_).parent_path();
  std::vector<fs::path> places;
  if (!data_.root.empty()) places = {here / data_.root, data_.root};
  places.insert(places.end(), {fs::path(), here, beside});
  if (last_place_ < places.size() && file_exists(places[last_place_] / entry))
    return (places[last_place_] / entry).string();
  for (size_t i = 0; i < places.size(); ++i)
    if (file_exists(places[i] / entry)) {
      last_place_ = i;
      return (places[i] / entry).string();
    }
  return {};
}

}  // namespace osprey
