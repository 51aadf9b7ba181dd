// The formats of images that stb_image does not read: what load_bytes() is put together from. Each reads the
// bytes of a whole file, whose name `path` is for errors, and gives as many channels as the file has. Nothing
// is allocated that the file is too short for.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "data/image.h"

namespace osprey {

// By libtiff: 8 or 16 bits, strips or tiles, values of a pixel together or in planes; or several pages of one
// channel each, which become the channels. Error: a build without libtiff, any other TIFF, damage.
bool is_tiff(std::string_view bytes);
ByteImage read_tiff(const std::string& path, std::string_view bytes);
std::pair<int, int> tiff_size(const std::string& path, std::string_view bytes);

// By libjpeg: 8 bits, grey or coloured, baseline or progressive. Nothing where stb_image reads it instead: a
// build without libjpeg, four inks (CMYK), a transparency asked for by 2 or 4 channels. Error: damage, as
// below.
std::optional<ByteImage> read_jpeg(const std::string& path, std::string_view bytes, int channels);

// NumPy's uint8 or uint16, [H,W] or [H,W,C].
bool is_array(std::string_view bytes);
ByteImage read_array(const std::string& path, const std::string& bytes);

// PNM (P5, P6) whose largest value takes 16 bits, and becomes 65535.
ByteImage read_wide_pnm(const std::string& path, std::string_view bytes, int width, int height);

// A header's size is believed if the file is long enough for it; else memory would be taken for what is not
// there. Error: more pixels than so many in each byte.
void check_room(const std::string& path, size_t bytes, int width, int height, int64_t most_in_a_byte);
constexpr int64_t kMostInAByteOfJpeg = 8 * 64;  // a block takes a bit

// Width, height and channels that an image may have. Error: too many or none.
void check_extent(const std::string& path, int64_t width, int64_t height, int64_t channels);

// 1 channel to 3 equal ones, 3 to grey as stb_image does, 4 to the first 3; 0 keeps them. Error: all else.
ByteImage with_channels(const std::string& path, ByteImage image, int channels);
[[noreturn]] void refuse_channels(const std::string& path, int stored, int wanted);

}  // namespace osprey
