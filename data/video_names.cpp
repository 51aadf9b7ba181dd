// What is a video, by its name or its first bytes.
#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <string_view>

#include "data/video.h"

namespace osprey {
namespace {

namespace fs = std::filesystem;

template <size_t N>
bool ends_in_one_of(const std::string& path, const std::array<std::string_view, N>& extensions) {
  std::string end = fs::path(path).extension().string();
  std::transform(end.begin(), end.end(), end.begin(), [](unsigned char c) { return char(std::tolower(c)); });
  return std::find(extensions.begin(), extensions.end(), end) != extensions.end();
}

bool is_address(const std::string& path) { return path.find("://") != std::string::npos; }

// MP4 and QuickTime, Matroska and WebM, AVI, MPEG program streams, Flash.
bool begins_like_a_video(const std::string& path) {
  if (!fs::is_regular_file(path)) return false;
  std::string bytes(12, '\0');
  std::ifstream(path, std::ios::binary).read(bytes.data(), std::streamsize(bytes.size()));
  const std::string_view begin = bytes;
  return begin.substr(4, 4) == "ftyp" || begin.starts_with("\x1a\x45\xdf\xa3") ||
         (begin.starts_with("RIFF") && begin.substr(8, 4) == "AVI ") ||
         begin.starts_with(std::string_view("\0\0\1\xba", 4)) || begin.starts_with("FLV\1");
}

}  // namespace

bool is_camera(const std::string& path) { return fs::is_character_file(path); }

bool is_video(const std::string& path) {
  static constexpr std::array<std::string_view, 24> known = {
      ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg",  ".mpeg", ".ts",   ".mts",  ".m2ts", ".wmv",
      ".asf", ".flv", ".3gp", ".ogv", ".y4m",  ".vob", ".h264", ".264",  ".hevc", ".h265", ".265",  ".mjpeg"};
  if (is_address(path) || is_camera(path) || ends_in_one_of(path, known)) return true;
  return !is_image_name(path) && begins_like_a_video(path);
}

bool is_writable_video(const std::string& path) {
  static constexpr std::array<std::string_view, 5> known = {".mp4", ".m4v", ".mov", ".mkv", ".avi"};
  return ends_in_one_of(path, known);
}

std::string video_name(const std::string& path) {
  std::string name = path;
  if (is_address(name)) name.resize(std::min(name.find('?'), name.size()));
  name = fs::path(name).stem().string();
  return name.empty() ? "video" : name;
}

}  // namespace osprey
