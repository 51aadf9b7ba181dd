// Files of images that save_image() does not write: 16 bits in PNG and PNM, and TIFF of each kind.
#pragma once

#include <cstdint>
#include <string>

#include "core/random.h"
#include "data/image.h"

namespace osprey {

inline ByteImage random_image(int width, int height, int channels, int value_bytes, uint64_t seed = 1) {
  ByteImage image{height, width, channels, {}, value_bytes};
  Random random(seed, Purpose::test);
  image.pixels.resize(size_t(height) * image.row_bytes());
  for (uint8_t& byte : image.pixels) byte = uint8_t(random.bits());
  return image;
}

// Of 16 bits, with the most significant byte first.
inline std::string swapped(const ByteImage& image) {
  std::string bytes(image.pixels.begin(), image.pixels.end());
  for (size_t i = 0; i + 1 < bytes.size(); i += 2) std::swap(bytes[i], bytes[i + 1]);
  return bytes;
}

// 1 to 4 channels of 16 bits; deflate in its form that packs nothing.
inline std::string wide_png(const ByteImage& image) {
  const auto number = [](uint32_t v) {
    return std::string{char(v >> 24), char(v >> 16), char(v >> 8), char(v)};
  };
  const auto chunk = [&](const std::string& what) {
    uint32_t crc = ~0u;
    for (const unsigned char byte : what) {
      crc ^= byte;
      for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
    }
    return number(uint32_t(what.size() - 4)) + what + number(~crc);
  };
  std::string rows, values = swapped(image);
  for (int y = 0; y < image.height; ++y)
    rows += '\0' + values.substr(size_t(y) * image.row_bytes(), image.row_bytes());
  uint32_t a = 1, b = 0;
  for (const unsigned char byte : rows) a = (a + byte) % 65521, b = (b + a) % 65521;
  const auto length = [](size_t n) { return std::string{char(n), char(n >> 8)}; };
  const std::string packed = "\x78\x01\x01" + length(rows.size()) + length(~rows.size()) + rows +
                             number(b << 16 | a);  // one part, below 64 KB
  const char kinds[] = {0, 4, 2, 6};
  return "\x89PNG\r\n\x1a\n" +
         chunk("IHDR" + number(uint32_t(image.width)) + number(uint32_t(image.height)) + '\x10' +
               kinds[image.channels - 1] + std::string(3, '\0')) +
         chunk("IDAT" + packed) + chunk("IEND");
}

}  // namespace osprey
