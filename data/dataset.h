// A data set: the .data file that describes it, the samples it lists, and a report of what is wrong with it.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "data/labels.h"

namespace osprey {

enum class Format { darknet, voc, coco };
enum class Split { train, valid };

// Darknet's .data file, "key = value" a line, and the keys of ours that describe VOC and COCO sets. All keys
// are told in docs/data-formats.md. Paths are kept as written; resolve() finds what they mean.
struct DataFile {
  std::string path;
  Format format = Format::darknet;
  int classes = 0;                                   // 0 where the file leaves it to the names
  std::string train, valid;                          // lists of images
  std::string names;                                 // a file, one name a line
  std::vector<std::string> class_names;              // or the names themselves
  std::string root;                                  // where relative paths are looked for first
  std::string images, train_images, valid_images;    // folders of the images
  std::string annotations;                           // VOC: the folder of the XML files
  std::string train_annotations, valid_annotations;  // COCO: the JSON files
  std::string proposals;                             // the folder of the files of proposals, of both splits
  std::string backup = "backup", results = "results", eval;
  std::string labels, map, leaves, difficult;  // Darknet's, of other commands
  int top = 1;
  // Iterations between two numbered files of weights (0: none are kept), and between two of the last ones;
  // below 0: as many as Darknet has without the key.
  int saveweights = -1, savelast = -1;

  bool has(Split split) const;  // a list of images, or (COCO) annotations

  // The first that exists of: the path under `root` (which is relative to this file's folder or else the
  // current one), relative to the current folder (as Darknet), relative to this file's folder. Error: none
  // does; says what was tried. A path with Windows' \ is tried with / as well.
  std::string resolve(const std::string& path, const std::string& key) const;
};

// Error, with file:line: no such key (with the nearest known one), a line without "=", a value of the wrong
// kind. Of two equal keys the first one wins, with a warning. `lenient`: unknown keys, and those without a
// value, are left out with a warning.
DataFile read_data_file(const std::string& path, bool lenient = false);

// The names of the classes, from `class_names`, `names` or (COCO) the categories. Error: their number is not
// `classes`; there are none.
std::vector<std::string> read_names(const DataFile& data);

struct Sample {
  std::string image;  // a path that exists
  std::vector<Label> labels;
  std::vector<int> classes;   // of the whole image, for classifiers (data/classes.h)
  int width = 0, height = 0;  // of the image; 0 = not known yet
  int64_t coco_id = 0;
  bool labelled = true;   // false: there is no label file, so the image counts as background
  std::string proposals;  // the file of its proposals (data/proposals.h); empty where none are wanted
};

struct Report {
  int64_t images = 0, boxes = 0, difficult = 0, crowds = 0;
  int64_t negatives = 0;       // images that are labelled to show nothing
  int64_t missing_labels = 0;  // images without a label file
  int64_t missing_images = 0;  // listed, but not there
  std::vector<int64_t> boxes_per_class;
  std::vector<int64_t> images_per_class;   // of a classifier's set, which has no boxes
  std::array<int64_t, 5> boxes_by_size{};  // sqrt(area) in pixels of the image: <8, <16, <32, <96, more
  std::vector<Problem> problems;           // all of them

  std::string text(const std::vector<std::string>& names) const;  // a few lines for people
};

struct Dataset {
  std::vector<std::string> names;
  std::vector<Sample> samples;
  Report report;
  std::vector<int64_t> coco_categories;  // COCO: the category id of each class
};

// Reads a split with all its labels. What is wrong in single samples is counted, the first of each kind told
// as a warning; with `strict` it is an Error. Errors always: no list, an empty list, not one image of it
// found.
Dataset load_dataset(const DataFile& data, Split split, bool strict = false);

}  // namespace osprey
