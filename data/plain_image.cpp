// Images that lie in their files value by value, and what is made of their channels.
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <cstring>

#include "core/error.h"
#include "core/npy.h"
#include "data/image_formats.h"

namespace osprey {
namespace {

constexpr int kLongestSide = 65535;

template <class Value>
void convert(const ByteImage& from, ByteImage& to) {
  const auto* in = reinterpret_cast<const Value*>(from.pixels.data());
  auto* out = reinterpret_cast<Value*>(to.pixels.data());
  const size_t pixels = size_t(from.width) * size_t(from.height);
  for (size_t i = 0; i < pixels; ++i, in += from.channels, out += to.channels) {
    if (to.channels == 1)
      *out = Value((77 * in[0] + 150 * in[1] + 29 * in[2]) >> 8);
    else
      for (int c = 0; c < to.channels; ++c) out[c] = in[from.channels == 1 ? 0 : c];
  }
}

// The number at `at`, behind blanks and comments; `at` comes behind it.
int next_number(std::string_view text, size_t& at) {
  const auto is = [&](auto kind) { return at < text.size() && kind(static_cast<unsigned char>(text[at])); };
  while (is(isspace) || is([](int c) { return c == '#'; })) {
    if (text[at] == '#')
      at = std::min(text.find_first_of("\r\n", at), text.size());
    else
      ++at;
  }
  int number = 0;
  for (; is(isdigit) && number <= kLongestSide; ++at) number = 10 * number + (text[at] - '0');
  return number;
}

}  // namespace

void check_extent(const std::string& path, int64_t width, int64_t height, int64_t channels) {
  if (width < 1 || height < 1 || width > kLongestSide || height > kLongestSide)
    fail("{}: an image of {}x{}; sides of 1 to {} are read", path, width, height, kLongestSide);
  if (channels < 1 || channels > kMaxChannels)
    fail("{}: an image of {} channels; 1 to {} are read", path, channels, kMaxChannels);
}

void check_room(const std::string& path, size_t bytes, int width, int height, int64_t most_in_a_byte) {
  if (int64_t(width) * height > int64_t(bytes) * most_in_a_byte)
    fail("{}: the image is cut short: {}x{} pixels cannot be in {} bytes", path, width, height, bytes);
}

bool is_array(std::string_view bytes) { return bytes.starts_with("\x93NUMPY"); }

ByteImage read_array(const std::string& path, const std::string& bytes) {
  const Array array = parse_npy(path, bytes);
  if (array.type != "|u1" && array.type != "<u2")
    fail("{}: an image is an array of uint8 or uint16 (|u1, <u2), not of type {}", path, array.type);
  const std::vector<int>& shape = array.shape;
  if (shape.size() != 2 && shape.size() != 3)
    fail("{}: an image has the shape (H,W) or (H,W,C), not ({})", path, fmt::join(shape, ","));
  const int channels = shape.size() == 2 ? 1 : shape[2];
  check_extent(path, shape[1], shape[0], channels);
  return {
      shape[0], shape[1], channels, {array.bytes.begin(), array.bytes.end()}, array.type == "<u2" ? 2 : 1};
}

void save_array(const std::string& path, const ByteImage& image) {
  write_npy(path, {{image.height, image.width, image.channels},
                   image.value_bytes == 2 ? "<u2" : "|u1",
                   {image.pixels.begin(), image.pixels.end()}});
}

ByteImage read_wide_pnm(const std::string& path, std::string_view bytes, int width, int height) {
  size_t at = 2;  // behind P5 or P6
  next_number(bytes, at);
  next_number(bytes, at);
  const unsigned most = unsigned(next_number(bytes, at));
  ++at;  // one blank
  if (most < 1 || most > 65535) fail("{}: not a readable image: its largest value is {}", path, most);
  ByteImage image{height, width, bytes[1] == '6' ? 3 : 1, {}, 2};
  const size_t size = size_t(height) * image.row_bytes();
  if (at > bytes.size() || bytes.size() - at < size) fail("{}: the image is cut short", path);
  image.pixels.resize(size);
  for (size_t i = 0; i < size; i += 2) {
    const auto byte = [&](size_t k) { return static_cast<unsigned char>(bytes[at + k]); };
    const unsigned stored = unsigned(byte(i) << 8 | byte(i + 1));
    const uint16_t value = uint16_t((std::min(stored, most) * 65535 + most / 2) / most);
    std::memcpy(image.pixels.data() + i, &value, 2);
  }
  return image;
}

void refuse_channels(const std::string& path, int stored, int wanted) {
  fail("{}: the image has {} channel{}, but the network takes {} (channels={} in [net])", path, stored,
       stored == 1 ? "" : "s", wanted, wanted);
}

ByteImage with_channels(const std::string& path, ByteImage image, int channels) {
  const int stored = image.channels;
  if (channels == 0 || channels == stored) return image;
  const bool can =
      (stored == 1 && channels == 3) || (stored == 3 && channels == 1) || (stored == 4 && channels == 3);
  if (!can) refuse_channels(path, stored, channels);
  ByteImage result{image.height, image.width, channels, {}, image.value_bytes};
  result.pixels.resize(size_t(image.height) * result.row_bytes());
  (image.value_bytes == 2 ? convert<uint16_t> : convert<uint8_t>)(image, result);
  return result;
}

}  // namespace osprey
