// osprey detect: boxes in images, as pictures, as text, and as JSON.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include "apps/commands.h"
#include "apps/fit_options.h"
#include "apps/images.h"
#include "apps/load.h"
#include "apps/nms_options.h"
#include "apps/pictures.h"
#include "core/error.h"
#include "core/file.h"
#include "core/log.h"
#include "train/detector.h"
#include "train/tiles.h"

namespace osprey {
namespace {

namespace fs = std::filesystem;

struct Arguments {
  LoadOptions load;
  FitOptions fit;
  std::vector<std::string> images;
  DetectionOptions detection;
  TileOptions tiles{0};  // no tiles
  bool strict = false;
  std::string names, out, json, proposals;
};

// out/dog.jpg, or out/dog_2.jpg when another image of that name was written already.
std::string output_name(const std::string& folder, const std::string& image, std::set<std::string>& taken) {
  const fs::path path(image);
  const std::string extension = path.extension() == ".png" ? ".png" : ".jpg";
  std::string name = path.stem().string() + extension;
  for (int k = 2; !taken.insert(name).second; ++k)
    name = fmt::format("{}_{}{}", path.stem().string(), k, extension);
  return (fs::path(folder) / name).string();
}

void print_found(const std::string& path, const std::vector<Detection>& found,
                 const std::vector<std::string>& names) {
  fmt::print("{}: {} objects\n", path, found.size());
  for (const Detection& d : found)
    fmt::print("  {}: {:.0f}%\t(left_x: {:4.0f}   top_y: {:4.0f}   width: {:4.0f}   height: {:4.0f})\n",
               names[size_t(d.class_id)], 100 * d.score, d.box.x1, d.box.y1, d.box.width(), d.box.height());
}

nlohmann::ordered_json as_json(const std::string& path, const ByteImage& image,
                               const std::vector<Detection>& found, const std::vector<std::string>& names) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const Detection& d : found)
    list.push_back({{"class_id", d.class_id},
                    {"name", names[size_t(d.class_id)]},
                    {"score", d.score},
                    {"box", {d.box.x1, d.box.y1, d.box.x2, d.box.y2}}});
  return {{"image", path}, {"width", image.width}, {"height", image.height}, {"detections", list}};
}

// Of an image, from the folder that holds them.
std::vector<ProposedBox> proposals_of(const std::string& image, const std::string& folder) {
  if (folder.empty())
    fail("{}: its proposals are needed, since the network has [proposals]: give --proposals FOLDER", image);
  const std::string path = proposals_path(folder, image);
  if (!fs::exists(path)) fail("{}: this file of proposals is missing, of {}", path, image);
  return read_proposals(path);
}

void run_detect(Arguments a) {
  const std::vector<std::string> paths = all_images(a.images);
  const auto network = load_network(a.load);
  const std::vector<Head*> heads = network->heads();
  if (heads.empty()) fail("{}: no layer that detects ([yolo], [retina], [rcnn], ...)", a.load.cfg);
  const std::vector<std::string> names = class_names(a.names, heads.back()->classes());
  a.detection.fit = a.fit.fit(network->net());
  if (a.tiles.grid.size && network->takes_proposals())
    fail("--tile: a network with [proposals] takes whole images");
  a.tiles.nms_threshold = a.detection.settings.nms_threshold.value_or(a.tiles.nms_threshold);
  if (!a.out.empty()) make_folder(a.out);
  ImageDetector detector(*network, a.detection);

  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  std::set<std::string> taken;
  int broken = 0;
  for (size_t start = 0; start < paths.size(); start += size_t(a.load.batch)) {
    std::vector<ByteImage> images;
    std::vector<std::string> read;
    for (size_t i = start; i < std::min(start + size_t(a.load.batch), paths.size()); ++i) try {
        images.push_back(load_bytes(paths[i], network->net().channels));
        read.push_back(paths[i]);
      } catch (const Error& e) {
        if (paths.size() == 1 || a.strict) throw;
        log_warning(e.what());
        ++broken;
      }
    if (images.empty()) continue;
    std::vector<const ByteImage*> pointers;
    for (const ByteImage& image : images) pointers.push_back(&image);
    std::vector<std::vector<ProposedBox>> proposals;
    if (network->takes_proposals())
      for (const std::string& path : read) proposals.push_back(proposals_of(path, a.proposals));
    std::vector<std::vector<Detection>> found;
    if (a.tiles.grid.size)
      for (const ByteImage& image : images)
        found.push_back(detect_in_tiles(detector, image, a.load.batch, a.tiles));
    else
      found = detector.detect(pointers, proposals);
    for (size_t i = 0; i < images.size(); ++i) {
      print_found(read[i], found[i], names);
      all.push_back(as_json(read[i], images[i], found[i], names));
      if (a.out.empty()) continue;
      save_image(output_name(a.out, read[i], taken), drawn(images[i], found[i], names));
    }
  }
  if (!a.json.empty())
    write_file(a.json, all.dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
  if (broken) fail("{} of {} images could not be read; the others are done", broken, paths.size());
}

}  // namespace

void add_detect(CLI::App& app) {
  auto a = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("detect", "Find objects in images");
  command->add_option("cfg", a->load.cfg, "the .cfg file")->required();
  command->add_option("weights", a->load.weights, "the .weights file")->required();
  command->add_option("images", a->images, "images, folders of images, .txt lists of images")->required();
  command->add_option("--thresh", a->detection.settings.threshold, "boxes need a higher score")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  add_nms_options(*command, a->detection.settings);
  command->add_option("--names", a->names, "file with the names of the classes, one a line");
  command->add_option("--out", a->out, "folder for pictures with the boxes drawn");
  command->add_option("--proposals", a->proposals,
                      "folder with the proposals of each image, for a network with [proposals]");
  command->add_option("--json", a->json,
                      "file for all detections; boxes are x1,y1,x2,y2 in pixels of the image");
  CLI::Option* tile =
      command
          ->add_option("--tile", a->tiles.grid.size,
                       "cut images into tiles of so many pixels, for small objects in large images")
          ->check(CLI::PositiveNumber);
  command
      ->add_option("--overlap", a->tiles.grid.overlap,
                   "part of a tile that neighbours share; at least the size of the objects")
      ->check(CLI::Range(0.0, 0.9))
      ->needs(tile)
      ->capture_default_str();
  add_fit_options(*command, a->fit);
  command->add_option("--batch", a->load.batch, "images that run together")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  add_device_options(*command, a->load.device);
  command->add_flag("--strict", a->strict, "stop at the first image that cannot be read");
  command->add_flag("--lenient", a->load.lenient, "unknown keys of the .cfg are warnings, not errors");
  command->callback([a] { run_detect(*a); });
}

}  // namespace osprey
