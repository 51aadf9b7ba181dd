// osprey classify: what is in whole images, as text and as JSON.
#include <fmt/core.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "apps/commands.h"
#include "apps/images.h"
#include "apps/load.h"
#include "apps/pictures.h"
#include "core/file.h"
#include "core/json_text.h"
#include "data/classes.h"
#include "train/classifier.h"

namespace osprey {
namespace {

struct Arguments {
  LoadOptions load;
  std::vector<std::string> images;
  std::string names, data, json;
  int top = 5;
  bool strict = false;
};

std::vector<std::string> names_of(const Arguments& a, int classes) {
  if (a.data.empty()) return class_names(a.names, classes);
  return label_names(read_data_file(a.data), classes);
}

void run_classify(const Arguments& a) {
  const std::vector<std::string> paths = all_images(a.images);
  LoadOptions load = a.load;
  load.once = paths.size() == 1;
  const auto network = load_network(load);
  ImageClassifier classifier(*network);
  const std::vector<std::string> names = names_of(a, classifier.classes());
  if (!a.json.empty()) check_can_write(a.json);
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  const auto classify = [&](const std::vector<std::string>& read,
                            const std::vector<const ByteImage*>& images) {
    const std::vector<std::vector<float>> values = classifier.classify(images);
    for (size_t i = 0; i < images.size(); ++i) {
      fmt::print("{}:\n", read[i]);
      nlohmann::ordered_json list = nlohmann::ordered_json::array();
      for (const int c : best_classes(values[i], a.top)) {
        const float value = values[i][size_t(c)];
        fmt::print("{:6.2f}%: {}\n", 100 * value, names[size_t(c)]);
        list.push_back({{"class_id", c}, {"name", names[size_t(c)]}, {"score", value}});
      }
      all.push_back({{"image", read[i]}, {"classes", list}});
    }
  };
  const int broken = for_each_readable(paths, a.load.batch, network->net().channels, a.strict, classify);
  if (!a.json.empty()) write_file(a.json, json_text(all, 1) + "\n");
  fail_if_broken(broken, paths.size());
}

}  // namespace

void add_classify(CLI::App& app) {
  auto a = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("classify", "Tell what is in whole images");
  command->add_option("cfg", a->load.cfg, "the .cfg file")->required();
  command->add_option("weights", a->load.weights, "the .weights file")->required();
  command->add_option("images", a->images, "images, folders of images, .txt lists of images")->required();
  command->add_option("--top", a->top, "so many classes of each image, the likeliest first")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  CLI::Option* names =
      command->add_option("--names", a->names, "file with the names of the classes, one a line");
  command->add_option("--data", a->data, "the .data file, for the names that it says")->excludes(names);
  command->add_option("--json", a->json, "file for all classes that are printed");
  command->add_option("--batch", a->load.batch, "images at a time")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  add_device_options(*command, a->load.device);
  command->add_flag("--strict", a->strict, "stop at the first image that cannot be read");
  command->add_flag("--lenient", a->load.lenient, "unknown keys of the .cfg are warnings, not errors");
  command->callback([a] { run_classify(*a); });
}

}  // namespace osprey
