// What `detector test`, `detect` and `detector demo` share: a network with Darknet's options, and what it
// finds as Darknet's lines and Darknet's JSON.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apps/darknet/arguments.h"
#include "train/detector.h"

namespace osprey::darknet {

struct FindSettings {
  LoadOptions load;
  DetectionOptions detection;
  bool letterbox = false, extended = false, draw_boxes = true;
};

// -thresh, -hier, -letter_box, -ext_output, -dontdraw_bbox, and what every network takes.
FindSettings find_settings(Arguments& arguments, const std::string& cfg, const std::string& weights,
                           float threshold);

class Finder {
 public:
  // Classes have the names of the .data file, and numbers where it is empty. Error: no layer that detects.
  Finder(const FindSettings& settings, const std::string& data);

  std::vector<std::vector<Detection>> find(const std::vector<const ByteImage*>& images) {
    return detector_->detect(images);
  }
  const std::vector<std::string>& names() const { return names_; }  // as many as the network has classes
  int channels() const { return network_->net().channels; }

 private:
  std::unique_ptr<Network> network_;
  std::optional<ImageDetector> detector_;
  std::vector<std::string> names_;
};

// Without the classes that are not to be seen: their names begin with "dont_show".
std::vector<Detection> shown(std::vector<Detection> found, const std::vector<std::string>& names);

// One a line, from the left: "dog: 98%", if `extended` with the box in pixels.
void print_found(std::vector<Detection> found, const std::vector<std::string>& names, bool extended);

// In units of the image.
CentreBox relative(const Detection& detection, const ByteImage& image);

// AlexeyAB's file: an array with an object for each image, or frame.
class FoundJson {
 public:
  void add(const std::string& path, const ByteImage& image, const std::vector<Detection>& found,
           const std::vector<std::string>& names);
  void write(const std::string& path) const;

 private:
  int64_t images_ = 0;
  std::string text_;
};

}  // namespace osprey::darknet
