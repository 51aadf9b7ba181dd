#include "apps/darknet/found.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "apps/pictures.h"
#include "core/error.h"
#include "core/file.h"
#include "core/json_text.h"
#include "core/log.h"

namespace osprey::darknet {
namespace {

using nlohmann::ordered_json;

// As long as the heads need it; what is missing are numbers, and what is too much is never named.
std::vector<std::string> names_for(const std::string& data, int classes) {
  const std::vector<std::string> numbers = class_names("", classes);
  if (data.empty()) return numbers;
  const DataFile file = read_data_file(data, true);
  std::vector<std::string> names;
  if (!file.names.empty() || !file.class_names.empty()) names = read_names(file);
  if (int(names.size()) != classes)
    warn("{}: {} names for the {} classes of the network: the others are told by their numbers", data,
         names.size(), classes);
  for (size_t i = names.size(); i < numbers.size(); ++i) names.push_back(numbers[i]);
  return names;
}

// As many digits as Darknet prints.
double six_digits(float value) { return std::round(double(value) * 1e6) / 1e6; }

}  // namespace

FindSettings find_settings(Arguments& a, const std::string& cfg, const std::string& weights,
                           float threshold) {
  FindSettings s;
  s.load = load_options(a, cfg, weights);
  s.detection.settings.threshold = a.real("thresh", threshold);
  s.detection.settings.tree_threshold = a.real("hier", 0.5f);
  s.letterbox = a.flag("letter_box");
  s.extended = a.flag("ext_output");
  s.draw_boxes = !a.flag("dontdraw_bbox");
  return s;
}

Finder::Finder(const FindSettings& settings, const std::string& data)
    : network_(load_network(settings.load)) {
  const std::vector<Head*> heads = network_->heads();
  if (heads.empty()) fail("{}: no layer that detects ([yolo], [region], ...)", settings.load.cfg);
  names_ = names_for(data, heads.back()->classes());
  DetectionOptions detection = settings.detection;
  detection.fit = settings.letterbox ? Fit::letterbox : fit_of(network_->net());
  detector_.emplace(*network_, detection);
}

std::vector<Detection> shown(std::vector<Detection> found, const std::vector<std::string>& names) {
  std::erase_if(found,
                [&](const Detection& d) { return names[size_t(d.class_id)].starts_with("dont_show"); });
  return found;
}

void print_found(std::vector<Detection> found, const std::vector<std::string>& names, bool extended) {
  std::stable_sort(found.begin(), found.end(),
                   [](const Detection& a, const Detection& b) { return a.box.x1 < b.box.x1; });
  for (const Detection& d : found) {
    fmt::print("{}: {:.0f}%", names[size_t(d.class_id)], 100 * d.score);
    if (extended)
      fmt::print("\t(left_x: {:4.0f}   top_y: {:4.0f}   width: {:4.0f}   height: {:4.0f})", d.box.x1,
                 d.box.y1, d.box.width(), d.box.height());
    fmt::print("\n");
  }
}

CentreBox relative(const Detection& d, const ByteImage& image) {
  return centre(scaled(d.box, 1 / float(image.width), 1 / float(image.height)));
}

void FoundJson::add(const std::string& path, const ByteImage& image, const std::vector<Detection>& found,
                    const std::vector<std::string>& names) {
  ordered_json objects = ordered_json::array();
  for (const Detection& d : found) {
    const CentreBox box = relative(d, image);
    objects.push_back({{"class_id", d.class_id},
                       {"name", names[size_t(d.class_id)]},
                       {"relative_coordinates",
                        {{"center_x", six_digits(box.x)},
                         {"center_y", six_digits(box.y)},
                         {"width", six_digits(box.w)},
                         {"height", six_digits(box.h)}}},
                       {"confidence", six_digits(d.score)}});
  }
  const ordered_json entry = {{"frame_id", ++images_}, {"filename", path}, {"objects", objects}};
  if (!text_.empty()) text_ += ",\n";
  text_ += json_text(entry, 1);
}

void FoundJson::write(const std::string& path) const { write_file(path, "[\n" + text_ + "\n]\n"); }

}  // namespace osprey::darknet
