// The formats of images that stb_image does not read: what load_bytes() is put together from. Each reads the
// bytes of a whole file, whose name `path` is for errors, and gives as many channels as the file has. Nothing
// is allocated that the file is too short for.
#pragma once

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

// NumPy's uint8 or uint16, [H,W] or [H,W,C].
bool is_array(std::string_view bytes);
ByteImage read_array(const std::string& path, const std::string& bytes);

// PNM (P5, P6) whose largest value takes 16 bits, and becomes 65535.
ByteImage read_wide_pnm(const std::string& path, std::string_view bytes, int width, int height);

// Width, height and channels that an image may have. Error: too many or none.
void check_extent(const std::string& path, int64_t width, int64_t height, int64_t channels);

// 1 channel to 3 equal ones, 3 to grey as stb_image does, 4 to the first 3; 0 keeps them. Error: all else.
ByteImage with_channels(const std::string& path, ByteImage image, int channels);
[[noreturn]] void refuse_channels(const std::string& path, int stored, int wanted);

}  // namespace osprey
