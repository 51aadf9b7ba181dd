// detector demo: boxes in the frames of a video, or of a camera.
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "apps/darknet/commands.h"
#include "apps/darknet/found.h"
#include "apps/pictures.h"
#include "core/file.h"
#include "train/frames.h"
#include "train/interrupt.h"

namespace osprey::darknet {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// As Darknet counts: one that follows slowly, and the mean of the last three seconds or more.
class FrameRate {
 public:
  void count_frame() {
    fps_ = fps_ * 0.9 + 0.1 / std::max(seconds_since(last_), 1e-9);
    last_ = Clock::now();
    ++frames_;
    const double spent = seconds_since(start_);
    if (spent < 3) return;
    average_ = frames_ / spent;
    frames_ = 0;
    start_ = Clock::now();
  }
  double fps() const { return fps_; }
  double average() const { return average_; }

 private:
  double fps_ = 0, average_ = 0;
  int frames_ = 0;
  Clock::time_point last_ = Clock::now(), start_ = last_;
};

struct Settings {
  FindSettings find;
  std::string video;  // with a name of its own, or a camera
  std::string out_filename, prefix, json;
  int skip = 0, time_limit = 0;  // seconds; 0: none
  bool benchmark = false, strict = false;
};

Settings settings_of(Arguments& a, const std::string& cfg, const std::string& weights,
                     const std::string& file) {
  for (const char* option : {"mjpeg_port", "json_port", "http_post_host"})
    if (a.given(option))
      a.fail(
          fmt::format("-{}: frames are not served: -out_filename FILE writes the video, -json_file_output "
                      "FILE what is in it",
                      option));
  if (a.flag("benchmark_layers"))
    a.fail("how long each layer takes is told by: osprey bench CFG WEIGHTS --layers");
  Settings s;
  s.find = find_settings(a, cfg, weights, 0.25f);
  const int camera = a.integer("c", 0, 0);
  s.video = file.empty() ? fmt::format("/dev/video{}", camera) : file;
  s.out_filename = a.text("out_filename");
  s.prefix = a.text("prefix");
  s.json = a.text("json_file_output");
  s.skip = a.integer("s", 0, 0);
  s.time_limit = a.integer("time_limit_sec", 0, 0);
  s.benchmark = a.flag("benchmark");
  s.strict = a.flag("strict");
  if (file.empty())
    fmt::print("Webcam index: {}\n", camera);
  else
    fmt::print("video file: {}\n", file);
  std::fflush(stdout);
  return s;
}

// What is printed and written of the frames.
class Show {
 public:
  Show(const Settings& settings, const Finder& finder, const VideoInfo& info)
      : settings_(settings), names_(finder.names()) {
    if (!settings.out_filename.empty())
      writer_ = create_video(settings.out_filename, info.width, info.height, info.fps / (settings.skip + 1));
  }

  void frame(const VideoFrame& frame, std::vector<Detection> found) {
    ++frames_;
    rate_.count_frame();
    found = shown(std::move(found), names_);
    if (!settings_.benchmark) {
      fmt::print("Objects:\n\n");
      print_found(found, names_, settings_.find.extended);
    }
    fmt::print("\nFPS:{:.1f} \t AVG_FPS:{:.1f}\n", rate_.fps(), rate_.average());
    if (!settings_.json.empty()) json_.add(settings_.video, frame.image, found, names_);
    if (writer_ || !settings_.prefix.empty()) {
      if (!settings_.find.draw_boxes) found.clear();
      write_picture(drawn(frame.image, found, names_), frame.seconds);
    }
    std::fflush(stdout);
  }

  void finish() {
    fmt::print("input video stream closed. \n");
    if (!settings_.json.empty()) json_.write(settings_.json);
    if (!writer_ || !frames_) return;
    writer_->finish();
    fmt::print("output_video_writer closed. \n");
  }

  int64_t frames() const { return frames_; }

 private:
  void write_picture(const Image& picture, double seconds) {
    if (!settings_.prefix.empty())
      save_image(fmt::format("{}_{:08}.jpg", settings_.prefix, frames_), picture);
    if (!writer_) return;
    writer_->write(picture, seconds);
    fmt::print("\n cvWriteFrame \n");
  }

  const Settings& settings_;
  const std::vector<std::string>& names_;
  std::unique_ptr<VideoWriter> writer_;
  FrameRate rate_;
  FoundJson json_;
  int64_t frames_ = 0;
};

}  // namespace

void demo(Arguments& a) {
  const auto at = a.places({"DATA", "CFG", "WEIGHTS", "VIDEO"}, 2);
  fmt::print("Demo\n");
  const Settings settings = settings_of(a, at[1], at[2], at[3]);
  a.finish();
  Finder finder(settings.find, at[0]);
  if (!settings.json.empty()) check_can_write(settings.json);
  const InterruptGuard interrupt;
  const Clock::time_point start = Clock::now();
  const auto stop = [&] {
    return interrupt.requested() || (settings.time_limit > 0 && seconds_since(start) > settings.time_limit);
  };
  const auto reader = open_video(settings.video, {finder.channels(), settings.skip, settings.strict, stop});
  Show show(settings, finder, reader->info());
  detect_frames(
      *reader, {}, [&](const auto& images) { return finder.find(images); },
      [&](const VideoFrame& frame, const std::vector<Detection>& found) { show.frame(frame, found); });
  show.finish();
  check_whole(*reader, settings.video, show.frames());
}

}  // namespace osprey::darknet
