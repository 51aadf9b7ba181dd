// detector test, detect: boxes in images that are named on the command line or, one a line, on stdin.
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "apps/darknet/commands.h"
#include "apps/darknet/prompt.h"
#include "apps/pictures.h"
#include "core/file.h"
#include "core/log.h"
#include "train/detector.h"

namespace osprey::darknet {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

// What -out means: AlexeyAB's JSON of all images or, without an ending or with a picture's, pjreddie's name
// of the picture.
struct Outputs {
  std::string picture = "predictions.jpg", json;
};

Outputs outputs_of(const std::string& out) {
  Outputs outputs;
  const std::string extension = fs::path(out).extension().string();
  if (out.empty()) return outputs;
  if (extension.empty())
    outputs.picture = out + ".jpg";
  else if (extension == ".jpg" || extension == ".jpeg" || extension == ".png")
    outputs.picture = out;
  else
    outputs.json = out;
  return outputs;
}

struct Settings {
  LoadOptions load;
  DetectionOptions detection;
  Outputs outputs;
  bool letterbox = false, extended = false, save_labels = false, draw_boxes = true;
};

Settings settings_of(Arguments& a, const std::string& cfg, const std::string& weights, float threshold) {
  Settings s;
  s.load = load_options(a, cfg, weights);
  s.detection.settings.threshold = a.real("thresh", threshold);
  s.detection.settings.tree_threshold = a.real("hier", 0.5f);
  s.outputs = outputs_of(a.text("out"));
  s.letterbox = a.flag("letter_box");
  s.extended = a.flag("ext_output");
  s.save_labels = a.flag("save_labels");
  s.draw_boxes = !a.flag("dontdraw_bbox");
  if (a.flag("benchmark") || a.flag("benchmark_layers"))
    a.fail("how long a network takes is told by: osprey bench CFG WEIGHTS --layers");
  return s;
}

// As long as the heads need it; what is missing are numbers, and what is too much is never named.
std::vector<std::string> names_for(const std::string& data, int classes) {
  const DataFile file = read_data_file(data);
  std::vector<std::string> names;
  if (!file.names.empty() || !file.class_names.empty()) names = read_names(file);
  if (int(names.size()) != classes)
    warn("{}: {} names for the {} classes of the network: the others are told by their numbers", data,
         names.size(), classes);
  const std::vector<std::string> numbers = class_names("", classes);
  for (size_t i = names.size(); i < numbers.size(); ++i) names.push_back(numbers[i]);
  return names;
}

// A class that its user does not want to see is called "dont_show..." in Darknet's .names files.
bool is_hidden(const std::string& name) { return name.starts_with("dont_show"); }

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

// As many digits as Darknet prints.
double six_digits(float value) { return std::round(double(value) * 1e6) / 1e6; }

ordered_json as_json(int64_t frame, const std::string& path, const ByteImage& image,
                     const std::vector<Detection>& found, const std::vector<std::string>& names) {
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
  return {{"frame_id", frame}, {"filename", path}, {"objects", objects}};
}

// Where training will look for them; of a box with several classes the surest counts.
void save_labels(const std::string& path, const ByteImage& image, const std::vector<Detection>& found) {
  std::string text;
  std::vector<Box> told;
  for (const Detection& d : found) {
    const auto same = [&](const Box& b) {
      return b.x1 == d.box.x1 && b.y1 == d.box.y1 && b.x2 == d.box.x2 && b.y2 == d.box.y2;
    };
    if (std::any_of(told.begin(), told.end(), same)) continue;
    told.push_back(d.box);
    const CentreBox box = relative(d, image);
    text += fmt::format("{} {:2.4f} {:2.4f} {:2.4f} {:2.4f}\n", d.class_id, box.x, box.y, box.w, box.h);
  }
  write_file(label_paths(path).front(), text);
}

class Tester {
 public:
  Tester(const Settings& settings, const std::string& data)
      : settings_(settings), network_(load_network(settings.load)) {
    const std::vector<Head*> heads = network_->heads();
    if (heads.empty()) fail("{}: no layer that detects ([yolo], [region], ...)", settings.load.cfg);
    names_ =
        data.empty() ? class_names("", heads.back()->classes()) : names_for(data, heads.back()->classes());
    settings_.detection.fit = settings.letterbox ? Fit::letterbox : fit_of(network_->net());
    detector_.emplace(*network_, settings_.detection);
  }

  void test(const std::string& path) {
    const ByteImage image = load_bytes(path, network_->net().channels);
    const auto start = std::chrono::steady_clock::now();
    std::vector<Detection> found = detector_->detect({&image})[0];
    const std::chrono::duration<double, std::milli> taken = std::chrono::steady_clock::now() - start;
    fmt::print("{}: Predicted in {:f} milli-seconds.\n", path, taken.count());
    std::erase_if(found, [&](const Detection& d) { return is_hidden(names_[size_t(d.class_id)]); });
    print_found(found, names_, settings_.extended);
    std::fflush(stdout);
    if (settings_.save_labels) save_labels(path, image, found);
    if (!settings_.outputs.json.empty())
      all_.push_back(as_json(int64_t(all_.size()) + 1, path, image, found, names_));
    if (!settings_.draw_boxes) found.clear();
    save_image(settings_.outputs.picture, drawn(image, found, names_));
  }

  void write_json() const {
    if (settings_.outputs.json.empty()) return;
    write_file(settings_.outputs.json,
               all_.dump(1, ' ', false, ordered_json::error_handler_t::replace) + "\n");
  }

 private:
  Settings settings_;
  std::unique_ptr<Network> network_;
  std::optional<ImageDetector> detector_;
  std::vector<std::string> names_;
  ordered_json all_ = ordered_json::array();
};

void run(const Settings& settings, const std::string& data, const std::string& image) {
  Tester tester(settings, data);
  const std::string failure = for_images(image, [&](const std::string& path) { tester.test(path); });
  tester.write_json();
  if (!failure.empty()) fail("{}", failure);
}

}  // namespace

void test(Arguments& a) {
  const auto at = a.places({"DATA", "CFG", "WEIGHTS", "IMAGE"}, 2);
  const Settings settings = settings_of(a, at[1], at[2], 0.25f);
  a.finish();
  run(settings, at[0], at[3]);
}

void detect(Arguments& a) {
  const auto at = a.places({"CFG", "WEIGHTS", "IMAGE"}, 2);
  const Settings settings = settings_of(a, at[0], at[1], 0.24f);
  a.finish();
  const std::string data = "cfg/coco.data";
  run(settings, fs::exists(data) ? data : "", at[2]);
}

}  // namespace osprey::darknet
