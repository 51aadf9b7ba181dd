// The images of a split, as the .data file names them.
#pragma once

#include <string>
#include <vector>

#include "data/dataset.h"

namespace osprey {

const char* name_of(Split split);  // the key of the .data file: "train" or "valid"
const std::string& list_of(const DataFile& data, Split split);

// A text file with one image a line, or a folder, which stands for all images in it and in its folders.
class ImageList {
 public:
  ImageList(const DataFile& data, Split split) : data_(data), split_(split) {}

  // The lines, blank ones left out; of a folder the paths within it, sorted. Windows' \ is / in what is not
  // there as it is written. Error: no list, an empty one.
  std::vector<std::string> read();
  // An entry as it is, under `root`, beside the .data file, beside the list (or within the folder); "" if it
  // is nowhere.
  std::string find(const std::string& entry);

  const std::string& path() const { return path_; }  // once it was read

 private:
  const DataFile& data_;
  Split split_;
  std::string path_;
  size_t last_place_ = 0;
};

}  // namespace osprey
