// Reading and writing image files: by the readers of data/image_formats.h, and all else with stb_image.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <climits>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>

#include "core/error.h"
#include "core/file.h"
#include "data/image_formats.h"
#include "data/jpeg_tables.h"
#include "data/text_file.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#define STBI_NO_HDR
#define STBI_NO_LINEAR
#define STBI_NO_PIC
#define STBI_MAX_DIMENSIONS 65535
// A damaged file may use a table that it has not defined: zeros, then, and not what memory held before.
#define STBI_MALLOC(size) std::calloc(1, size)
#define STBI_REALLOC(memory, size) std::realloc(memory, size)
#define STBI_FREE(memory) std::free(memory)
#include <stb/stb_image.h>
#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
#include <stb/stb_image_write.h>
#pragma GCC diagnostic pop

namespace osprey {
namespace {

// The first bytes of a file, or all of it.
std::string first_bytes(const std::string& path, size_t most) {
  const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path.c_str(), "rb"), std::fclose);
  if (!file) fail("{}: cannot open the image: {}", path, std::strerror(errno));
  if (is_folder(path)) fail("{}: is a folder, not an image", path);
  std::string bytes;
  constexpr size_t kPiece = size_t(1) << 16;
  for (size_t got = kPiece; got == kPiece && bytes.size() < most;) {
    bytes.resize(bytes.size() + kPiece);
    got = std::fread(bytes.data() + bytes.size() - kPiece, 1, kPiece, file.get());
    bytes.resize(bytes.size() - kPiece + got);
  }
  return bytes;
}

// A file as stb reads it. stb fills up a JPEG that was cut short with grey and calls it a success; that the
// decoder asked for bytes behind the end gives it away.
struct Source {
  std::string_view rest;
  bool overran = false;
};

constexpr int kBuffer = int(sizeof(stbi__context::buffer_start));  // asked for whole, whatever is left

const stbi_io_callbacks kCallbacks = {
    [](void* user, char* data, int size) {
      auto& source = *static_cast<Source*>(user);
      const int got = int(source.rest.copy(data, size_t(size)));
      source.rest.remove_prefix(size_t(got));
      if (got == 0 || (got < size && size != kBuffer)) source.overran = true;
      return got;
    },
    [](void* user, int count) {
      auto& source = *static_cast<Source*>(user);
      source.rest.remove_prefix(std::min(size_t(count), source.rest.size()));
    },
    [](void* user) { return int(static_cast<Source*>(user)->rest.empty()); }};

struct Header {
  int width = 0, height = 0, channels = 0;
  const char* fault = nullptr;  // why it cannot be read
};

// stb_image tries one kind of file after the other, and goes back to the start each time. Read by callbacks,
// it goes back by a buffer at most, and where a kind was given up only later takes the middle of the file for
// its start. So what is asked of a header is asked of memory; and no file is decoded whose kind it finds out
// so, which is one that begins with bytes of ones: they may stand before the start of a JPEG.
struct Start {
  const stbi_uc* bytes;
  int size;
};
Start start_of(std::string_view bytes) {
  return {reinterpret_cast<const stbi_uc*>(bytes.data()), int(std::min(bytes.size(), size_t(INT_MAX)))};
}

Header read_header(std::string_view bytes) {
  if (bytes.starts_with("\xFF\xFF")) return {0, 0, 0, "no kind of image begins so"};
  if (!has_sound_tables(bytes)) return {0, 0, 0, "its Huffman tables are damaged"};
  Header header;
  const Start start = start_of(bytes);
  if (!stbi_info_from_memory(start.bytes, start.size, &header.width, &header.height, &header.channels))
    header.fault = stbi_failure_reason();
  // A BMP whose first row is the uppermost has its height below zero there.
  header.height = std::abs(std::max(header.height, -INT_MAX));
  return header;
}

void check(const std::string& path, const Header& header) {
  if (header.fault) fail("{}: not a readable image: {}", path, header.fault);
  check_extent(path, header.width, header.height, header.channels);
}

// The densest there is: deflate packs 1032 bytes into one, of 8 pixels each in a PNG of 1 bit; a code of GIF
// stands for at most 4095 pixels, and takes more than a byte then; JPEG is dense, too. Run lengths are less
// so; in a BMP a pixel takes a bit.
int64_t most_in_a_byte(std::string_view bytes) {
  return bytes.starts_with("\x89PNG") ? 8 * 1032
         : bytes.starts_with("GIF8")  ? 4095
         : bytes.starts_with("BM")    ? 8
                                      : kMostInAByteOfJpeg;
}

// Whether the parts of a PNG are as long as they say, as far as the end that it names. stb_image takes memory
// for them by what they say.
bool has_whole_chunks(std::string_view png) {
  constexpr size_t kSignature = 8, kHead = 8, kChecksum = 4;
  for (size_t at = kSignature; at + kHead <= png.size();) {
    size_t length = 0;
    for (size_t i = 0; i < 4; ++i) length = length << 8 | static_cast<unsigned char>(png[at + i]);
    if (length > png.size() - at - kHead) return false;
    if (png.substr(at + 4, 4) == "IEND") return true;
    at += kHead + length + kChecksum;
  }
  return true;  // without an end, which stb_image tells
}

bool has_16_bits(std::string_view bytes) {
  const Start start = start_of(bytes);
  return stbi_is_16_bit_from_memory(start.bytes, start.size);
}

// With the channels that are asked for, of 1 to 4; 0: with its own.
ByteImage read_by_stb(const std::string& path, std::string_view file, bool wide, int channels) {
  Source source{file};
  int width = 0, height = 0, stored = 0;
  const std::unique_ptr<void, void (*)(void*)> values(
      wide ? static_cast<void*>(
                 stbi_load_16_from_callbacks(&kCallbacks, &source, &width, &height, &stored, channels))
           : stbi_load_from_callbacks(&kCallbacks, &source, &width, &height, &stored, channels),
      stbi_image_free);
  if (!values) fail("{}: not a readable image: {}", path, stbi_failure_reason());
  if (source.overran) fail("{}: the image is cut short", path);
  ByteImage image{height, width, channels ? channels : stored, {}, wide ? 2 : 1};
  const auto* bytes = static_cast<const uint8_t*>(values.get());
  image.pixels.assign(bytes, bytes + size_t(height) * image.row_bytes());
  return image;
}

std::string extension(const std::string& path) {
  std::string end = std::filesystem::path(path).extension().string();
  std::transform(end.begin(), end.end(), end.begin(), [](unsigned char c) { return char(std::tolower(c)); });
  return end;
}

}  // namespace

bool is_tiff(std::string_view bytes) {
  // Of classic and of big files, in either order of bytes.
  using namespace std::string_view_literals;
  return bytes.starts_with("II*\0"sv) || bytes.starts_with("MM\0*"sv) || bytes.starts_with("II+\0"sv) ||
         bytes.starts_with("MM\0+"sv);
}

ByteImage load_bytes(const std::string& path, int channels, JpegReader jpeg) {
  if (channels < 0 || channels > kMaxChannels)
    fail("{}: an image is read with 1 to {} channels, not {}", path, kMaxChannels, channels);
  const std::string file = first_bytes(path, SIZE_MAX);
  if (is_tiff(file)) return with_channels(path, read_tiff(path, file), channels);
  if (is_array(file)) return with_channels(path, read_array(path, file), channels);
  if (jpeg == JpegReader::libjpeg && file.starts_with("\xFF\xD8"))
    if (std::optional<ByteImage> image = read_jpeg(path, file, channels)) return *std::move(image);
  const Header header = read_header(file);
  check(path, header);
  check_room(path, file.size(), header.width, header.height, most_in_a_byte(file));
  if (file.starts_with("\x89PNG") && !has_whole_chunks(file)) fail("{}: the image is cut short", path);
  const bool wide = has_16_bits(file);
  // stb_image 2.27 swaps the bytes of such a file, and reads on behind the grey ones.
  if (wide && (file.starts_with("P5") || file.starts_with("P6")))
    return with_channels(path, read_wide_pnm(path, file, header.width, header.height), channels);
  if (channels > 4) refuse_channels(path, header.channels, channels);
  return read_by_stb(path, file, wide, channels);
}

Image load_image(const std::string& path, int channels) { return unit_image(load_bytes(path, channels)); }

std::pair<int, int> image_size(const std::string& path) {
  constexpr size_t kUsual = size_t(1) << 18;  // holds the header, but for one with much about the camera
  std::string bytes = first_bytes(path, kUsual);
  if (is_tiff(bytes)) return tiff_size(path, first_bytes(path, SIZE_MAX));  // its header may be at the end
  if (is_array(bytes)) {
    const ByteImage image = read_array(path, first_bytes(path, SIZE_MAX));
    return {image.width, image.height};
  }
  Header header = read_header(bytes);
  if (header.fault && bytes.size() >= kUsual) {
    bytes = first_bytes(path, SIZE_MAX);
    header = read_header(bytes);
  }
  check(path, header);
  return {header.width, header.height};
}

bool is_image_name(const std::string& path) {
  static const char* const known[] = {".jpg", ".jpeg", ".png", ".bmp", ".ppm",  ".pgm",  ".pnm",
                                      ".tga", ".gif",  ".psd", ".tif", ".tiff", ".webp", ".npy"};
  const std::string end = extension(path);
  return std::any_of(std::begin(known), std::end(known), [&](const char* name) { return end == name; });
}

namespace {

using Encoder = int (*)(stbi_write_func*, void* to, const Image&, const uint8_t* bytes, int quality);

// Nothing if it cannot be done.
std::string encoded(const Image& image, Encoder encoder, int quality) {
  const std::vector<uint8_t> bytes = rounded(image, 1).pixels;
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
  if (image.channels > 4) fail("{}: images are written with 1 to 4 channels, not {}", path, image.channels);
  const std::string bytes = encoded(image, is_jpeg ? jpeg : png, 95);
  if (bytes.empty()) fail("{}: the image cannot be encoded", path);
  write_file(path, bytes);
}

}  // namespace osprey
