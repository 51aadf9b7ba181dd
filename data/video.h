// Videos and cameras as images, and images as a video, through FFmpeg's libraries. In a build without them
// opening and creating fail with a line that says so.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "data/image.h"

namespace osprey {

// A file that is named or begins like a video (.mp4, .mkv, ...), an address such as rtsp://..., a camera.
bool is_video(const std::string& path);
bool is_camera(const std::string& path);          // a character device, such as /dev/video0
bool is_writable_video(const std::string& path);  // ends in .mp4, .m4v, .mov, .mkv or .avi
std::string video_name(const std::string& path);  // its file's name without folder, ending and ?query

struct VideoOptions {
  int channels = 3;     // 3: RGB; 1: grey
  int skip = 0;         // so many frames are left out after each one that is read
  bool strict = false;  // a broken frame is an error, instead of being told and left out
  // Asked by the thread that reads, also while it waits: true ends the video.
  std::function<bool()> stop = {};
};

struct VideoFrame {
  int64_t index = 0;   // from 0; skipped and broken frames count, too
  double seconds = 0;  // since the beginning of the video
  ByteImage image;
};

struct VideoInfo {
  int width = 0, height = 0;  // of the images, turned as the file says
  double fps = 0;             // the average; 0: unknown
  int64_t frames = 0;         // as the file says, or about so many by its length; 0: unknown
  bool live = false;          // comes from a camera or a stream, at its own speed
};

class VideoReader {
 public:
  virtual ~VideoReader() = default;
  virtual const VideoInfo& info() const = 0;
  // None at the end. Error: a broken frame if `strict`, a video of which no frame can be read.
  virtual std::optional<VideoFrame> next() = 0;
  virtual int64_t broken() const = 0;  // frames so far that could not be read
  virtual bool cut_short() const = 0;  // at the end: the file ends before its last frame
};

// Error: no such file, not a video, a format that FFmpeg cannot read.
std::unique_ptr<VideoReader> open_video(const std::string& path, const VideoOptions& options = {});

class VideoWriter {
 public:
  virtual ~VideoWriter() = default;  // drops what was not finished
  // Times must not go back. Error: an image of another size, a failed write.
  virtual void write(const Image& image, double seconds) = 0;
  virtual void finish() = 0;  // the file appears under its name only here
};

// H.264 where FFmpeg has x264, otherwise MPEG-4; images keep their times, in .avi rounded to whole frames of
// `fps` (25 if it is 0). An odd size grows by the one pixel that chroma of half the size needs: it repeats
// the edge. Error: another ending than the above, a file that cannot be written.
std::unique_ptr<VideoWriter> create_video(const std::string& path, int width, int height, double fps);

}  // namespace osprey
