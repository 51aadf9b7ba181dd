#include "data/image.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>

#include "core/error.h"

namespace osprey {
namespace {

// Where the values of an output row come from.
struct Taps {
  std::vector<int> first, second;
  std::vector<float> first_share, second_share;
};

Taps column_taps(const Image& image, ImageWindow window, bool mirror, int width) {
  const int channels = image.channels;
  const size_t count = size_t(width) * size_t(channels);
  Taps taps{std::vector<int>(count), std::vector<int>(count), std::vector<float>(count),
            std::vector<float>(count)};
  const float scale = tap_scale(width, window.width);
  for (int column = 0; column < width; ++column) {
    const Tap tap = column_tap(column, width, window.width, scale);
    const int from = clamped(window.left + tap.first, image.width);
    const int to = clamped(window.left + tap.second, image.width);
    const int place = (mirror ? width - 1 - column : column) * channels;
    for (int c = 0; c < channels; ++c) {
      taps.first[size_t(place + c)] = from * channels + c;
      taps.second[size_t(place + c)] = to * channels + c;
      taps.first_share[size_t(place + c)] = tap.first_share;
      taps.second_share[size_t(place + c)] = tap.second_share;
    }
  }
  return taps;
}

void blend_columns(const float* in, const Taps& taps, float* out) {
  const size_t count = taps.first.size();
  const int *first = taps.first.data(), *second = taps.second.data();
  const float *first_share = taps.first_share.data(), *second_share = taps.second_share.data();
  for (size_t i = 0; i < count; ++i) out[i] = first_share[i] * in[first[i]] + second_share[i] * in[second[i]];
}

}  // namespace

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
  if (image.value_bytes == 2) {
    Image result(image.width, image.height, image.channels);
    for (size_t i = 0; i < result.pixels.size(); ++i) {
      uint16_t value;
      std::memcpy(&value, image.pixels.data() + 2 * i, 2);
      result.pixels[i] = unit_value(value);
    }
    return result;
  }
  std::array<float, 256> units;
  for (int byte = 0; byte < 256; ++byte) units[size_t(byte)] = unit_value(uint8_t(byte));
  Image result(image.width, image.height, image.channels);
  std::transform(image.pixels.begin(), image.pixels.end(), result.pixels.begin(),
                 [&](uint8_t byte) { return units[byte]; });
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
  if (image.pixels.empty() || window.width < 1 || window.height < 1)
    fail("an image of {}x{} cannot be resized", window.width, window.height);
  if (width < 1 || height < 1) fail("an image cannot be resized to {}x{}", width, height);
  const Taps taps = column_taps(image, window, mirror, width);
  const size_t count = taps.first.size();
  // Rows already blended along their columns, by their number in the window: output rows share them.
  std::vector<float> blended[2] = {std::vector<float>(count), std::vector<float>(count)};
  int held[2] = {-1, -1};
  const auto blended_row = [&](int row) {
    const int slot = row % 2;
    if (held[slot] != row) {
      const int y = clamped(window.top + row, image.height);
      blend_columns(image.pixels.data() + image.index(y, 0, 0), taps, blended[slot].data());
      held[slot] = row;
    }
    return blended[slot].data();
  };
  const float scale = tap_scale(height, window.height);
  for (int row = 0; row < height; ++row) {
    const Tap tap = row_tap(row, height, window.height, scale);
    const float *upper = blended_row(tap.first), *lower = blended_row(tap.second);
    const float upper_share = tap.first_share, lower_share = tap.second_share;
    float* to = out + size_t(row) * stride;
    for (size_t i = 0; i < count; ++i) to[i] = upper_share * upper[i] + lower_share * lower[i];
  }
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

void recolour(float* pixels, size_t size, int channels, const Recolour& colour) {
  if (!colour.changes()) return;
  if (channels != 3) {
    for (size_t i = 0; i < size; ++i) pixels[i] = colour(pixels[i]);
    return;
  }
  for (size_t i = 0; i + 2 < size; i += 3) {
    const Rgb rgb = colour(Rgb{pixels[i], pixels[i + 1], pixels[i + 2]});
    pixels[i] = rgb.r;
    pixels[i + 1] = rgb.g;
    pixels[i + 2] = rgb.b;
  }
}

}  // namespace osprey
