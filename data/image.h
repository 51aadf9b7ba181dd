// Images as the network sees them, and Darknet's ways of bringing them to its size.
//
// An image is [height,width,channels], RGB if it has three, each value byte / 255. Sizes follow the order
// (width, height) of cfg files. The maps between an image and the network input are in Letterbox, for both
// ways of fitting.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "core/box.h"
#include "core/sample.h"

namespace osprey {

struct Image {
  int height = 0, width = 0, channels = 0;
  std::vector<float> pixels;  // [height,width,channels], 0..1

  Image() = default;
  Image(int width, int height, int channels, float value = 0);
  size_t index(int y, int x, int c) const { return (size_t(y) * width + x) * channels + c; }
  float& at(int y, int x, int c) { return pixels[index(y, x, c)]; }
  float at(int y, int x, int c) const { return pixels[index(y, x, c)]; }
};

// Reads JPEG, PNG, BMP, PNM, TGA, PSD, GIF (first frame), TIFF or a .npy array, with 8 or 16 bits. Grey is
// replicated, RGB made grey, alpha dropped, as `channels` asks; 0: as many as the file has. The camera's
// orientation tag is not applied: labels are made on the stored pixels, and Darknet does the same. Error: no
// such file, not an image, cut short, other channels.
Image load_image(const std::string& path, int channels = 3);

// What decodes a JPEG. Their pixels differ by up to 3 levels, in one value of twenty. Darknet's are those of
// stb_image, and so are its boxes; libjpeg takes a half to a third of the time, and is for training. A build
// without it has stb_image alone.
enum class JpegReader { stb_image, libjpeg };

// The same as the file has it, in bytes.
struct ByteImage {
  int height = 0, width = 0, channels = 0;
  std::vector<uint8_t> pixels;  // [height,width,channels], value_bytes each
  int value_bytes = 1;          // 2: of 16 bits, in the order of this machine

  size_t pixel_bytes() const { return size_t(channels) * size_t(value_bytes); }
  size_t row_bytes() const { return size_t(width) * pixel_bytes(); }
};
ByteImage load_bytes(const std::string& path, int channels = 3, JpegReader jpeg = JpegReader::stb_image);
Image unit_image(const ByteImage& image);  // each value / 255, or of 16 bits / 65535
// The nearest values of so many bytes.
ByteImage rounded(const Image& image, int value_bytes);

// What eyes can see of it: the first three channels as RGB, or of fewer the first as grey.
Image visible(const Image& image);

// Width and height from the file's header alone. Error as above.
std::pair<int, int> image_size(const std::string& path);

// True where the name ends like an image (.jpg, .png, ..., any case).
bool is_image_name(const std::string& path);

// Writes .png or .jpg/.jpeg (quality 95), values rounded to bytes; the file appears under its name only when
// complete. Error: another extension, more than 4 channels, a failed write.
void save_image(const std::string& path, const Image& image);

// Writes a .npy array of uint8 or uint16, which load_bytes() reads: any number of channels, no value changed.
void save_array(const std::string& path, const ByteImage& image);

// The bytes of a JPEG file; quality 1 .. 100. Error: an empty image.
std::string encode_jpeg(const Image& image, int quality);

// Darknet's resize (its resize_image): bilinear with the corner pixels of both grids aligned, first along
// rows, then along columns, without a filter for shrinking. Its last output row takes no part from the row
// below, as in Darknet. Error: a size that is not positive, an empty image.
Image resize(const Image& image, int width, int height);

// The same for a window, whose pixels outside the image repeat the edge: writes `height` rows of `width`
// pixels to `out`, rows `stride` floats apart; `mirror` swaps left and right. Equal bits to cutting, then
// resize().
void resize_window(const Image& image, ImageWindow window, bool mirror, float* out, int width, int height,
                   size_t stride);

// crop: as classifiers see images, the middle of what is as small as covers the network input.
enum class Fit { stretch, letterbox, crop };

// Where an image lies in a network input: new_width x new_height pixels at (left, top). Cropped, it reaches
// beyond the input.
struct Letterbox {
  int width = 0, height = 0;          // of the network input
  int new_width = 0, new_height = 0;  // of the image within
  int left() const { return (width - new_width) / 2; }
  int top() const { return (height - new_height) / 2; }

  // Boxes in units of the network input, 0..1, to units of the image, and back. Darknet halves the padding
  // without rounding here, though it pastes at whole pixels: a difference of half a pixel, kept.
  CentreBox to_image(CentreBox box) const;
  CentreBox to_network(CentreBox box) const;
};

Letterbox fitted(Fit fit, int image_width, int image_height, int width, int height);

// The image, its aspect ratio kept, in the middle of a grey (0.5) canvas.
Image letterbox(const Image& image, int width, int height);
Image centre_crop(const Image& image, int width, int height);

Image fit(const Image& image, int width, int height, Fit fit);

// What fit() does, for an image of this size in bytes: its result is fit()'s to the last bit.
SamplePlan fit_plan(Fit fit, int image_width, int image_height, int width, int height);

// Re-colours `size` floats, three to a pixel; with another number of channels only the exposure counts.
void recolour(float* pixels, size_t size, int channels, const Recolour& colour);

}  // namespace osprey
