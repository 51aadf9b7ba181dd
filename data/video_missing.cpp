// In place of the reader and the writer where FFmpeg's libraries were not found.
#include "core/error.h"
#include "data/video.h"

namespace osprey {
namespace {

constexpr const char* kHow =
    "install libavformat-dev, libavcodec-dev, libavutil-dev and libswscale-dev (scripts/setup does), and "
    "configure and build again";

}  // namespace

std::unique_ptr<VideoReader> open_video(const std::string& path, const VideoOptions&) {
  fail("{}: this build reads no videos: {}", path, kHow);
}

std::unique_ptr<VideoWriter> create_video(const std::string& path, int, int, double) {
  fail("{}: this build writes no videos: {}", path, kHow);
}

}  // namespace osprey
