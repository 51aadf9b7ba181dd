#include "data/image.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "core/error.h"
#include "data/resize.h"

namespace osprey {

Image::Image(int width, int height, int channels, float value)
    : height(height),
      width(width),
      channels(channels),
      pixels(size_t(width) * size_t(height) * size_t(channels), value) {}

namespace {

template <class Value>
void round_values(const std::vector<float>& from, uint8_t* to) {
  constexpr float kMost = std::numeric_limits<Value>::max();
  for (size_t i = 0; i < from.size(); ++i) {
    const Value value = Value(std::clamp(from[i], 0.f, 1.f) * kMost + .5f);
    std::memcpy(to + i * sizeof(Value), &value, sizeof(Value));
  }
}

}  // namespace

Image unit_image(const ByteImage& image) {
  Image result(image.width, image.height, image.channels);
  to_units(image.pixels.data(), image.value_bytes, result.pixels.size(), result.pixels.data());
  return result;
}

ByteImage rounded(const Image& image, int value_bytes) {
  ByteImage result{image.height, image.width, image.channels, {}, value_bytes};
  result.pixels.resize(image.pixels.size() * size_t(value_bytes));
  (value_bytes == 2 ? round_values<uint16_t> : round_values<uint8_t>)(image.pixels, result.pixels.data());
  return result;
}

Image visible(const Image& image) {
  const int channels = image.channels < 3 ? 1 : 3;
  if (image.channels == channels) return image;
  Image result(image.width, image.height, channels);
  for (int y = 0; y < image.height; ++y)
    for (int x = 0; x < image.width; ++x)
      std::copy_n(image.pixels.begin() + ptrdiff_t(image.index(y, x, 0)), channels, &result.at(y, x, 0));
  return result;
}

void resize_window(const Image& image, ImageWindow window, bool mirror, float* out, int width, int height,
                   size_t stride) {
  ResizedRows rows(image, {window, width, height, mirror, 0, width});
  for (int row = 0; row < height; ++row) rows.write(row, out + size_t(row) * stride);
}

Image resize(const Image& image, int width, int height) {
  if (width == image.width && height == image.height) return image;
  if (width < 1 || height < 1) fail("an image cannot be resized to {}x{}", width, height);
  Image result(width, height, image.channels);
  resize_window(image, {0, 0, image.width, image.height}, false, result.pixels.data(), width, height,
                size_t(width) * size_t(image.channels));
  return result;
}

Letterbox fitted(Fit fit, int image_width, int image_height, int width, int height) {
  if (image_width < 1 || image_height < 1 || width < 1 || height < 1)
    fail("an image of {}x{} cannot be fitted into {}x{}", image_width, image_height, width, height);
  if (fit == Fit::stretch) return {width, height, width, height};
  const bool letterboxed = fit == Fit::letterbox;
  const bool width_is_scarce = float(width) / float(image_width) < float(height) / float(image_height);
  if (width_is_scarce == letterboxed) {
    const int scaled = int(int64_t(image_height) * width / image_width);
    return {width, height, width, std::max(scaled, letterboxed ? 1 : height)};
  }
  const int scaled = int(int64_t(image_width) * height / image_height);
  return {width, height, std::max(scaled, letterboxed ? 1 : width), height};
}

CentreBox Letterbox::to_image(CentreBox b) const {
  return {float((b.x - (width - new_width) / 2. / width) / (float(new_width) / float(width))),
          float((b.y - (height - new_height) / 2. / height) / (float(new_height) / float(height))),
          b.w * (float(width) / float(new_width)), b.h * (float(height) / float(new_height))};
}

CentreBox Letterbox::to_network(CentreBox b) const {
  const float sx = float(new_width) / float(width), sy = float(new_height) / float(height);
  return {float(b.x * sx + (width - new_width) / 2. / width),
          float(b.y * sy + (height - new_height) / 2. / height), b.w * sx, b.h * sy};
}

Image letterbox(const Image& image, int width, int height) {
  const Letterbox place = fitted(Fit::letterbox, image.width, image.height, width, height);
  Image canvas(width, height, image.channels, .5f);
  resize_window(image, {0, 0, image.width, image.height}, false,
                canvas.pixels.data() + canvas.index(place.top(), place.left(), 0), place.new_width,
                place.new_height, size_t(width) * size_t(image.channels));
  return canvas;
}

Image centre_crop(const Image& image, int width, int height) {
  const Letterbox place = fitted(Fit::crop, image.width, image.height, width, height);
  const Image resized = resize(image, place.new_width, place.new_height);
  Image middle(width, height, image.channels);
  for (int y = 0; y < height; ++y)
    std::copy_n(resized.pixels.begin() + ptrdiff_t(resized.index(y - place.top(), -place.left(), 0)),
                size_t(width) * size_t(image.channels),
                middle.pixels.begin() + ptrdiff_t(middle.index(y, 0, 0)));
  return middle;
}

Image fit(const Image& image, int width, int height, Fit fit) {
  switch (fit) {
    case Fit::letterbox:
      return letterbox(image, width, height);
    case Fit::crop:
      return centre_crop(image, width, height);
    case Fit::stretch:
      break;
  }
  return resize(image, width, height);
}

SamplePlan fit_plan(Fit fit, int image_width, int image_height, int width, int height) {
  const Letterbox place = fitted(fit, image_width, image_height, width, height);
  SamplePlan plan;
  plan.parts = 1;
  SamplePart& part = plan.part[0];
  part.shown = {0, 0, width, height};
  part.place = {place.left(), place.top(), place.new_width, place.new_height};
  part.window = {0, 0, image_width, image_height};
  part.image_width = image_width;
  part.image_height = image_height;
  return plan;
}

void recolour(float* pixels, size_t size, int channels, const Recolour& of_all) {
  if (!of_all.changes()) return;
  const Recolour colour = of_all;  // which writing pixels does not change
  if (channels != 3) {
    for (size_t i = 0; i < size; ++i) pixels[i] = colour(pixels[i]);
    return;
  }
  for (size_t i = 0; i < size / 3; ++i) {
    float* pixel = pixels + 3 * i;
    const Rgb rgb = colour(Rgb{pixel[0], pixel[1], pixel[2]});
    pixel[0] = rgb.r;
    pixel[1] = rgb.g;
    pixel[2] = rgb.b;
  }
}

}  // namespace osprey
