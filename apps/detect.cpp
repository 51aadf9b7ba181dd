// osprey detect: boxes in images and videos, as pictures, as text, and as JSON.
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
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
#include "core/json_text.h"
#include "core/log.h"
#include "data/video.h"
#include "train/detector.h"
#include "train/frames.h"
#include "train/interrupt.h"
#include "train/progress.h"
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
  int frame_skip = 0;
  FrameOptions frames;
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

nlohmann::ordered_json as_json(const std::vector<Detection>& found, const std::vector<std::string>& names) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const Detection& d : found)
    list.push_back({{"class_id", d.class_id},
                    {"name", names[size_t(d.class_id)]},
                    {"score", d.score},
                    {"box", {d.box.x1, d.box.y1, d.box.x2, d.box.y2}}});
  return list;
}

// Of an image, from the folder that holds them.
std::vector<ProposedBox> proposals_of(const std::string& image, const std::string& folder) {
  if (folder.empty())
    fail("{}: its proposals are needed, since the network has [proposals]: give --proposals FOLDER", image);
  const std::string path = proposals_path(folder, image);
  if (!file_exists(path)) fail("{}: this file of proposals is missing, of {}", path, image);
  return read_proposals(path);
}

// The network, and what it finds.
class Finder {
 public:
  explicit Finder(Arguments a) : a_(std::move(a)), network_(load_network(a_.load)) {
    const std::vector<Head*> heads = network_->heads();
    if (heads.empty()) fail("{}: no layer that detects ([yolo], [retina], [rcnn], ...)", a_.load.cfg);
    names_ = class_names(a_.names, heads.back()->classes());
    a_.detection.fit = a_.fit.fit(network_->net());
    if (a_.tiles.grid.size && network_->takes_proposals())
      fail("--tile: a network with [proposals] takes whole images");
    a_.tiles.nms_threshold = a_.detection.settings.nms_threshold.value_or(a_.tiles.nms_threshold);
    detector_.emplace(*network_, a_.detection);
  }

  std::vector<std::vector<Detection>> find(const std::vector<const ByteImage*>& images,
                                           const std::vector<std::vector<ProposedBox>>& proposals = {}) {
    if (!a_.tiles.grid.size) return detector_->detect(images, proposals);
    std::vector<std::vector<Detection>> found;
    for (const ByteImage* image : images)
      found.push_back(detect_in_tiles(*detector_, *image, a_.load.batch, a_.tiles));
    return found;
  }

  const Arguments& arguments() const { return a_; }
  const std::vector<std::string>& names() const { return names_; }
  bool takes_proposals() const { return network_->takes_proposals(); }
  int channels() const { return network_->net().channels; }

 private:
  Arguments a_;
  std::unique_ptr<Network> network_;
  std::optional<ImageDetector> detector_;
  std::vector<std::string> names_;
};

void detect_in_images(Finder& finder, const std::vector<std::string>& paths) {
  const Arguments& a = finder.arguments();
  if (!a.out.empty()) make_folder(a.out);
  if (!a.json.empty()) check_can_write(a.json);
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  std::set<std::string> taken;
  const auto detect = [&](const std::vector<std::string>& read, const std::vector<const ByteImage*>& images) {
    std::vector<std::vector<ProposedBox>> proposals;
    if (finder.takes_proposals())
      for (const std::string& path : read) proposals.push_back(proposals_of(path, a.proposals));
    const std::vector<std::vector<Detection>> found = finder.find(images, proposals);
    for (size_t i = 0; i < images.size(); ++i) {
      print_found(read[i], found[i], finder.names());
      all.push_back({{"image", read[i]},
                     {"width", images[i]->width},
                     {"height", images[i]->height},
                     {"detections", as_json(found[i], finder.names())}});
      if (a.out.empty()) continue;
      save_image(output_name(a.out, read[i], taken), drawn(*images[i], found[i], finder.names()));
    }
  };
  const int broken = for_each_readable(paths, a.load.batch, finder.channels(), a.strict, detect);
  if (!a.json.empty()) write_file(a.json, json_text(all, 1) + "\n");
  fail_if_broken(broken, paths.size());
}

// Objects of JSON, one a line, in a file or on stdout, each as soon as it is there.
class JsonLines {
 public:
  explicit JsonLines(const std::string& path)
      : path_(path.empty() ? "stdout" : path), file_(path.empty() ? stdout : std::fopen(path.c_str(), "w")) {
    if (!file_) fail("{}: cannot be written: {}", path_, std::strerror(errno));
  }
  ~JsonLines() {
    if (file_ != stdout) std::fclose(file_);
  }
  JsonLines(const JsonLines&) = delete;
  JsonLines& operator=(const JsonLines&) = delete;

  void write(const nlohmann::ordered_json& json) {
    if (std::fputs((json_text(json) + "\n").c_str(), file_) < 0 || std::fflush(file_) != 0)
      fail("{}: cannot be written: {}", path_, std::strerror(errno));
  }
  bool on_screen() const { return file_ == stdout && isatty(STDOUT_FILENO); }

 private:
  std::string path_;
  FILE* file_;
};

// out.mp4 as it is; otherwise of a folder, which is made: out/clip.avi for clip.avi, out/clip.mp4 for what
// cannot be written as it came. Empty where nothing is to be written.
std::string video_output(const Arguments& a, const std::string& video, std::set<std::string>& taken) {
  if (a.out.empty()) return "";
  std::string path = a.out;
  if (!is_writable_video(a.out) || is_folder(a.out)) {
    make_folder(a.out);
    const std::string extension = is_writable_video(video) ? fs::path(video).extension().string() : ".mp4";
    std::string name = video_name(video) + extension;
    for (int k = 2; !taken.insert(name).second; ++k)
      name = fmt::format("{}_{}{}", video_name(video), k, extension);
    path = (fs::path(a.out) / name).string();
  } else if (!taken.insert(path).second) {
    fail("--out {}: there are several videos: give a folder", path);
  }
  std::error_code none;
  if (fs::equivalent(path, video, none)) fail("--out: {} is the video that is read", path);
  return path;
}

// Error, after all that could be done: broken frames, a file that was cut short.
void detect_in_video(Finder& finder, const std::string& path, const std::string& out, JsonLines& json,
                     const InterruptGuard& interrupt) {
  const Arguments& a = finder.arguments();
  const auto reader =
      open_video(path, {finder.channels(), a.frame_skip, a.strict, [&] { return interrupt.requested(); }});
  const VideoInfo info = reader->info();
  std::unique_ptr<VideoWriter> writer;
  if (!out.empty()) writer = create_video(out, info.width, info.height, info.fps / (a.frame_skip + 1));
  int64_t frames = 0;
  const auto began = std::chrono::steady_clock::now();
  const auto speed = [&] {
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - began;
    return double(frames) / std::max(taken.count(), 1e-9);
  };
  Progress progress(video_name(path), info.frames);
  detect_frames(
      *reader, a.frames, [&](const std::vector<const ByteImage*>& images) { return finder.find(images); },
      [&](const VideoFrame& frame, const std::vector<Detection>& found) {
        json.write({{"video", path},
                    {"frame", frame.index},
                    {"time", std::round(frame.seconds * 1e6) / 1e6},
                    {"width", info.width},
                    {"height", info.height},
                    {"detections", as_json(found, finder.names())}});
        if (writer) writer->write(drawn(frame.image, found, finder.names()), frame.seconds);
        ++frames;
        if (!json.on_screen())
          progress.update(frame.index + 1, fmt::format("{:.1f} frames per second", speed()));
      });
  progress.finish();
  if (writer && frames) writer->finish();
  osprey::info("{}: {} frames, {:.1f} frames per second{}", path, frames, speed(),
               writer ? ", written to " + out : "");
  check_whole(*reader, path, frames);
}

void detect_in_videos(Finder& finder, const std::vector<std::string>& paths) {
  const Arguments& a = finder.arguments();
  if (finder.takes_proposals())
    fail("{}: a network with [proposals] takes images, not videos", paths.front());
  JsonLines json(a.json);
  const InterruptGuard interrupt;
  std::set<std::string> taken;
  std::vector<std::string> outputs;
  for (const std::string& path : paths) outputs.push_back(video_output(a, path, taken));
  size_t broken = 0;
  for (size_t i = 0; i < paths.size() && !interrupt.requested(); ++i) {
    try {
      detect_in_video(finder, paths[i], outputs[i], json, interrupt);
    } catch (const Error& e) {
      if (paths.size() == 1 || a.strict) throw;
      log_warning(e.what());
      ++broken;
    }
  }
  if (broken) fail("{} of {} videos could not be read as a whole; the others are done", broken, paths.size());
}

void run_detect(const Arguments& a) {
  const auto videos = std::count_if(a.images.begin(), a.images.end(), is_video);
  if (videos && size_t(videos) < a.images.size())
    fail("images and videos need a run each: {} are videos", videos);
  if (!videos && (a.frame_skip || a.frames.max_frames)) fail("--frame-skip and --max-frames are for videos");
  const std::vector<std::string> paths = videos ? a.images : all_images(a.images);
  Arguments mine = a;
  mine.load.once = !videos && paths.size() == 1 && !a.tiles.grid.size;
  Finder finder(mine);
  if (videos)
    detect_in_videos(finder, paths);
  else
    detect_in_images(finder, paths);
}

}  // namespace

void add_detect(CLI::App& app) {
  auto a = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("detect", "Find objects in images and videos");
  command->add_option("cfg", a->load.cfg, "the .cfg file")->required();
  command->add_option("weights", a->load.weights, "the .weights file")->required();
  command
      ->add_option("images", a->images,
                   "images, folders of images, .txt lists of images; or videos, cameras such as /dev/video0, "
                   "addresses "
                   "such as rtsp://...")
      ->required();
  command->add_option("--thresh", a->detection.settings.threshold, "boxes need a higher score")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  add_nms_options(*command, a->detection.settings);
  command->add_option("--names", a->names, "file with the names of the classes, one a line");
  command->add_option(
      "--out", a->out,
      "folder for pictures and videos with the boxes drawn; or the .mp4, .mov, .mkv or .avi of one video");
  command->add_option("--proposals", a->proposals,
                      "folder with the proposals of each image, for a network with [proposals]");
  command->add_option(
      "--json", a->json,
      "file for all detections; boxes are x1,y1,x2,y2 in pixels of the image. Of a video: one "
      "line for each frame, on stdout without this option");
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
  command->add_option("--frame-skip", a->frame_skip, "frames of a video left out after each one that counts")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->add_option("--max-frames", a->frames.max_frames, "stop after so many frames of a video")
      ->check(CLI::PositiveNumber);
  command->add_option("--batch", a->load.batch, "images, or frames, at a time")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  add_device_options(*command, a->load.device);
  command->add_flag("--strict", a->strict, "stop at the first image or frame that cannot be read");
  command->add_flag("--lenient", a->load.lenient, "unknown keys of the .cfg are warnings, not errors");
  command->callback([a] {
    a->frames.batch = a->load.batch;
    run_detect(*a);
  });
}

}  // namespace osprey
