// detector test, detect: boxes in images that are named on the command line or, one a line, on stdin.
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <filesystem>

#include "apps/darknet/commands.h"
#include "apps/darknet/found.h"
#include "apps/darknet/prompt.h"
#include "apps/pictures.h"
#include "core/error.h"
#include "core/file.h"

namespace osprey::darknet {
namespace {

namespace fs = std::filesystem;

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

struct Settings : FindSettings {
  Outputs outputs;
  bool save_labels = false;
};

Settings settings_of(Arguments& a, const std::string& cfg, const std::string& weights, float threshold) {
  Settings s{find_settings(a, cfg, weights, threshold), outputs_of(a.text("out")), a.flag("save_labels")};
  if (a.flag("benchmark") || a.flag("benchmark_layers"))
    a.fail("how long a network takes is told by: osprey bench CFG WEIGHTS --layers");
  return s;
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
  Tester(const Settings& settings, const std::string& data) : settings_(settings), finder_(settings, data) {
    if (!settings_.outputs.json.empty()) check_can_write(settings_.outputs.json);
  }

  void test(const std::string& path) {
    const ByteImage image = load_bytes(path, finder_.channels());
    const auto start = std::chrono::steady_clock::now();
    std::vector<Detection> found = finder_.find({&image})[0];
    const std::chrono::duration<double, std::milli> taken = std::chrono::steady_clock::now() - start;
    fmt::print("{}: Predicted in {:f} milli-seconds.\n", path, taken.count());
    found = shown(std::move(found), finder_.names());
    print_found(found, finder_.names(), settings_.extended);
    std::fflush(stdout);
    if (settings_.save_labels) save_labels(path, image, found);
    if (!settings_.outputs.json.empty()) json_.add(path, image, found, finder_.names());
    if (!settings_.draw_boxes) found.clear();
    save_image(settings_.outputs.picture, drawn(image, found, finder_.names()));
  }

  void write_json() const {
    if (!settings_.outputs.json.empty()) json_.write(settings_.outputs.json);
  }

 private:
  Settings settings_;
  Finder finder_;
  FoundJson json_;
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
  run(settings, file_exists(data) ? data : "", at[2]);
}

}  // namespace osprey::darknet
