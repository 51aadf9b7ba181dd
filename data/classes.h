// Image sets for classifiers, where the path of an image tells its class.
#pragma once

#include <string>
#include <vector>

#include "data/dataset.h"

namespace osprey {

// What is looked for in paths: the lines of the .data file's `labels`, or else the names of the classes.
// Error: an empty label, as many labels as names and `classes` are not.
std::vector<std::string> read_class_labels(const DataFile& data);

// The names of the classes, and where there are none these labels.
std::vector<std::string> read_label_names(const DataFile& data);

// Darknet's rule: a label that is a part of the path. Where several are, the innermost folder (or file) that
// is called as a label decides, else the innermost whose name holds one; of labels there that are parts of
// each other the longest counts. More than one where that does not decide.
std::vector<int> classes_in_path(const std::string& path, const std::vector<std::string>& labels);

// A split whose samples have classes instead of boxes. Paths are looked at as they are listed, so that the
// folders above a set do not matter. With `several` an image has all classes whose labels its path holds. An
// image without a class, or otherwise with more than one, is left out and told; with `strict` it is an Error.
// Errors always: as load_dataset().
Dataset load_classes(const DataFile& data, Split split, bool several = false, bool strict = false);

}  // namespace osprey
