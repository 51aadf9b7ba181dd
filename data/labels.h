// Objects marked on images, and the three formats they come in: Darknet text files, Pascal VOC XML, COCO
// JSON.
//
// A line that makes no sense is a Problem, not an end: the caller decides. A file that cannot be read at all
// is an Error.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/box.h"

namespace osprey {

struct Label {
  int class_id = 0;
  CentreBox box;           // in units of the image, 0..1
  bool difficult = false;  // VOC: not counted by evaluation
  bool crowd = false;      // COCO: a region of many objects, neither hit nor miss
  float area = 0;          // COCO: pixels of the object itself; 0 if unknown
};

enum class Fault { malformed, unknown_class, no_area, outside };

struct Problem {
  std::string file;
  int line = 0;  // 0 where the format has none
  std::string what;
  Fault fault = Fault::malformed;
  std::string text() const;  // file:line: what
};

// What is wrong with one label, wherever it stands.
struct Complaint {
  std::string what;
  Fault fault = Fault::malformed;
};

struct LabelFile {
  std::vector<Label> labels;
  std::vector<Problem> problems;
  int width = 0, height = 0;  // of the image, where the format says so
};

// Lines "class x y w h", centre and size in units of the image. A class that is not in 0..classes-1,
// something that is not five numbers, a centre outside the image or a size that is not positive is a problem;
// a size over 1 is cut to 1, as Darknet does.
LabelFile read_darknet_labels(const std::string& path, int classes);

// Pascal VOC: corners count pixels from 1 and include the last one, so x1 = xmin - 1 and x2 = xmax. A box of
// a single row or column (xmin = xmax) is a slip of the mouse and a problem, as is a name that is not in
// `names`; what hangs over the edge is cut off. Where the file does not say the image's size, `width` and
// `height` do.
LabelFile read_voc_labels(const std::string& path, const std::vector<std::string>& names, int width = 0,
                          int height = 0);

struct CocoImage {
  int64_t id = 0;
  std::string file_name;
  int width = 0, height = 0;
  std::vector<Label> labels;
};

struct CocoSet {
  std::vector<std::string> names;     // the classes 0.. in order
  std::vector<int64_t> category_ids;  // of each class, for writing results
  std::vector<CocoImage> images;      // in the file's order
  std::vector<Problem> problems;
};

// COCO instances: boxes are x, y, width, height in pixels. Classes are `names` in their order, found by name;
// without names, the categories by rising id. Annotations of categories that are not in `names` are left out
// (with a warning); a name that no category has is an Error. Boxes are cut at the image's edge.
CocoSet read_coco(const std::string& path, const std::vector<std::string>& names);

// Writers. Images of VOC have the size width x height; their corners are rounded to whole pixels.
void write_darknet_labels(const std::string& path, const std::vector<Label>& labels);
void write_voc_labels(const std::string& path, const std::string& image_name, int width, int height,
                      const std::vector<Label>& labels, const std::vector<std::string>& names);
void write_coco(const std::string& path, const CocoSet& set);

// Where the label file of an image may be, best first: AlexeyAB's rule (beside the image; a few well-known
// folders are mapped to /labels/), pjreddie's (the first "images", "JPEGImages" and "raw" in the path become
// "labels"), and the same for the last whole folder called images.
std::vector<std::string> label_paths(const std::string& image_path);

}  // namespace osprey
