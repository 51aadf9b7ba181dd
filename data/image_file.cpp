// Reading and writing image files, with stb_image.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>

#include "core/error.h"
#include "core/file.h"
#include "data/image.h"
#include "data/text_file.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#define STBI_NO_HDR
#define STBI_NO_LINEAR
#define STBI_MAX_DIMENSIONS 65535
#include <stb/stb_image.h>
#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
#include <stb/stb_image_write.h>
#pragma GCC diagnostic pop

namespace osprey {
namespace {

// The file as stb reads it. stb fills up a JPEG that was cut short with grey and calls it a success; that the
// decoder asked for bytes behind the end gives it away.
struct Source {
  FILE* file = nullptr;
  bool overran = false;

  explicit Source(const std::string& path) : file(std::fopen(path.c_str(), "rb")) {
    if (!file) fail("{}: cannot open the image: {}", path, std::strerror(errno));
    if (std::filesystem::is_directory(path)) {
      std::fclose(file);
      fail("{}: is a folder, not an image", path);
    }
  }
  ~Source() { std::fclose(file); }
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;
};

constexpr int kBuffer = int(sizeof(stbi__context::buffer_start));  // asked for whole, whatever is left

const stbi_io_callbacks kCallbacks = {
    [](void* user, char* data, int size) {
      auto& source = *static_cast<Source*>(user);
      const int got = int(std::fread(data, 1, size_t(size), source.file));
      if (got == 0 || (got < size && size != kBuffer)) source.overran = true;
      return got;
    },
    [](void* user, int count) { std::fseek(static_cast<Source*>(user)->file, count, SEEK_CUR); },
    [](void* user) {
      auto& source = *static_cast<Source*>(user);
      const int next = std::fgetc(source.file);
      if (next != EOF) std::ungetc(next, source.file);
      return int(next == EOF);
    }};

std::string extension(const std::string& path) {
  std::string end = std::filesystem::path(path).extension().string();
  std::transform(end.begin(), end.end(), end.begin(), [](unsigned char c) { return char(std::tolower(c)); });
  return end;
}

}  // namespace

ByteImage load_bytes(const std::string& path, int channels) {
  if (channels < 1 || channels > kMaxChannels)
    fail("{}: an image is read with 1 to {} channels, not {}", path, kMaxChannels, channels);
  Source source(path);
  int width = 0, height = 0, stored = 0;
  std::unique_ptr<stbi_uc, void (*)(void*)> bytes(
      stbi_load_from_callbacks(&kCallbacks, &source, &width, &height, &stored, channels), stbi_image_free);
  if (!bytes) fail("{}: not a readable image: {}", path, stbi_failure_reason());
  if (source.overran) fail("{}: the image is cut short", path);
  const size_t count = size_t(width) * size_t(height) * size_t(channels);
  return {height, width, channels, std::vector<uint8_t>(bytes.get(), bytes.get() + count)};
}

Image load_image(const std::string& path, int channels) { return unit_image(load_bytes(path, channels)); }

std::pair<int, int> image_size(const std::string& path) {
  Source source(path);
  int width = 0, height = 0, channels = 0;
  if (!stbi_info_from_callbacks(&kCallbacks, &source, &width, &height, &channels))
    fail("{}: not a readable image: {}", path, stbi_failure_reason());
  return {width, height};
}

bool is_image_name(const std::string& path) {
  static const char* const known[] = {".jpg", ".jpeg", ".png", ".bmp", ".ppm",  ".pgm", ".pnm",
                                      ".tga", ".gif",  ".psd", ".tif", ".tiff", ".webp"};
  const std::string end = extension(path);
  return std::any_of(std::begin(known), std::end(known), [&](const char* name) { return end == name; });
}

namespace {

using Encoder = int (*)(stbi_write_func*, void* to, const Image&, const uint8_t* bytes, int quality);

// Nothing if it cannot be done.
std::string encoded(const Image& image, Encoder encoder, int quality) {
  std::vector<uint8_t> bytes(image.pixels.size());
  for (size_t i = 0; i < bytes.size(); ++i)
    bytes[i] = static_cast<uint8_t>(std::clamp(image.pixels[i], 0.f, 1.f) * 255.f + .5f);
  std::string out;
  const auto append = [](void* to, void* data, int size) {
    static_cast<std::string*>(to)->append(static_cast<char*>(data), size_t(size));
  };
  return !bytes.empty() && encoder(append, &out, image, bytes.data(), quality) ? out : "";
}

int jpeg(stbi_write_func* append, void* to, const Image& i, const uint8_t* bytes, int quality) {
  return stbi_write_jpg_to_func(append, to, i.width, i.height, i.channels, bytes, quality);
}
int png(stbi_write_func* append, void* to, const Image& i, const uint8_t* bytes, int) {
  return stbi_write_png_to_func(append, to, i.width, i.height, i.channels, bytes, i.width * i.channels);
}

}  // namespace

std::string encode_jpeg(const Image& image, int quality) {
  const std::string bytes = encoded(image, jpeg, quality);
  if (bytes.empty()) fail("an image of {}x{} cannot be written as JPEG", image.width, image.height);
  return bytes;
}

void save_image(const std::string& path, const Image& image) {
  const std::string end = extension(path);
  const bool is_jpeg = end == ".jpg" || end == ".jpeg";
  if (!is_jpeg && end != ".png") fail("{}: images are written as .png, .jpg or .jpeg", path);
  if (image.pixels.empty()) fail("{}: the image to write is empty", path);
  const std::string bytes = encoded(image, is_jpeg ? jpeg : png, 95);
  if (bytes.empty()) fail("{}: the image cannot be encoded", path);
  write_file(path, bytes);
}

}  // namespace osprey
