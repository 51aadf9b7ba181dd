#include "data/image.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace osprey {
namespace {

// Where an output value comes from: two input values and the second one's share.
struct Taps {
  std::vector<int> first, second;
  std::vector<float> share;
};

// The taps of every value of an output row. The last pixel is a copy of the window's last: share 0 of itself.
Taps column_taps(const Image& image, ImageWindow window, bool mirror, int width) {
  const int channels = image.channels;
  Taps taps;
  taps.first.resize(size_t(width) * channels);
  taps.second.resize(taps.first.size());
  taps.share.resize(taps.first.size());
  const float scale = float(window.width - 1) / float(width - 1);
  for (int column = 0; column < width; ++column) {
    int from = window.width - 1, to = from;
    float share = 0;
    if (column != width - 1 && window.width != 1) {
      const float x = float(column) * scale;
      from = int(x);
      to = from + 1;
      share = x - float(from);
    }
    from = std::clamp(window.left + from, 0, image.width - 1);
    to = std::clamp(window.left + to, 0, image.width - 1);
    const int place = (mirror ? width - 1 - column : column) * channels;
    for (int c = 0; c < channels; ++c) {
      taps.first[size_t(place + c)] = from * channels + c;
      taps.second[size_t(place + c)] = to * channels + c;
      taps.share[size_t(place + c)] = share;
    }
  }
  return taps;
}

void blend_columns(const float* in, const Taps& taps, float* out) {
  const size_t count = taps.share.size();
  const int *first = taps.first.data(), *second = taps.second.data();
  const float* share = taps.share.data();
  for (size_t i = 0; i < count; ++i) out[i] = (1 - share[i]) * in[first[i]] + share[i] * in[second[i]];
}

}  // namespace

Image::Image(int width, int height, int channels, float value)
    : height(height),
      width(width),
      channels(channels),
      pixels(size_t(width) * size_t(height) * size_t(channels), value) {}

void resize_window(const Image& image, ImageWindow window, bool mirror, float* out, int width, int height,
                   size_t stride) {
  if (image.pixels.empty() || window.width < 1 || window.height < 1)
    fail("an image of {}x{} cannot be resized", window.width, window.height);
  if (width < 1 || height < 1) fail("an image cannot be resized to {}x{}", width, height);
  const Taps taps = column_taps(image, window, mirror, width);
  const size_t count = taps.share.size();
  // Rows already blended along their columns, by their number in the window: output rows share them.
  std::vector<float> blended[2] = {std::vector<float>(count), std::vector<float>(count)};
  int held[2] = {-1, -1};
  const auto blended_row = [&](int row) {
    const int slot = row % 2;
    if (held[slot] != row) {
      const int y = std::clamp(window.top + row, 0, image.height - 1);
      blend_columns(image.pixels.data() + image.index(y, 0, 0), taps, blended[slot].data());
      held[slot] = row;
    }
    return blended[slot].data();
  };
  const float scale = height > 1 ? float(window.height - 1) / float(height - 1) : 0;
  for (int row = 0; row < height; ++row) {
    const float y = float(row) * scale;
    const int from = std::min(int(y), window.height - 1);
    const float share = y - float(from);
    const float* upper = blended_row(from);
    float* to = out + size_t(row) * stride;
    if (row == height - 1 || window.height == 1) {
      for (size_t i = 0; i < count; ++i) to[i] = (1 - share) * upper[i];
    } else {
      const float* lower = blended_row(from + 1);
      for (size_t i = 0; i < count; ++i) to[i] = (1 - share) * upper[i] + share * lower[i];
    }
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
  int new_width = width, new_height = height;
  if (float(width) / float(image_width) < float(height) / float(image_height))
    new_height = std::max(1, int(int64_t(image_height) * width / image_width));
  else
    new_width = std::max(1, int(int64_t(image_width) * height / image_height));
  return {width, height, new_width, new_height};
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

Image fit(const Image& image, int width, int height, Fit fit) {
  return fit == Fit::letterbox ? letterbox(image, width, height) : resize(image, width, height);
}

Hsv rgb_to_hsv(Rgb c) {
  const float most = std::max(c.r, std::max(c.g, c.b)), least = std::min(c.r, std::min(c.g, c.b));
  const float range = most - least;
  if (range <= 0) return {0, 0, most};
  float h = c.r == most   ? (c.g - c.b) / range
            : c.g == most ? 2 + (c.b - c.r) / range
                          : 4 + (c.r - c.g) / range;
  if (h < 0) h += 6;
  return {h / 6, range / most, most};
}

Rgb hsv_to_rgb(Hsv c) {
  const float h = 6 * c.h;
  const int sector = int(h);
  const float f = h - float(sector);
  const float p = c.v * (1 - c.s), q = c.v * (1 - c.s * f), t = c.v * (1 - c.s * (1 - f));
  switch (sector) {
    case 0:
      return {c.v, t, p};
    case 1:
      return {q, c.v, p};
    case 2:
      return {p, c.v, t};
    case 3:
      return {p, q, c.v};
    case 4:
      return {t, p, c.v};
    default:
      return {c.v, p, q};
  }
}

void distort_colours(float* pixels, size_t size, int channels, float hue, float saturation, float exposure) {
  if (hue == 0 && saturation == 1 && exposure == 1) return;
  if (channels != 3) {
    for (size_t i = 0; i < size; ++i) pixels[i] = std::clamp(pixels[i] * exposure, 0.f, 1.f);
    return;
  }
  for (size_t i = 0; i + 2 < size; i += 3) {
    Hsv c = rgb_to_hsv({pixels[i], pixels[i + 1], pixels[i + 2]});
    c.h += hue;
    if (c.h > 1) c.h -= 1;
    if (c.h < 0) c.h += 1;
    c.s *= saturation;
    c.v *= exposure;
    const Rgb rgb = hsv_to_rgb(c);
    pixels[i] = std::clamp(rgb.r, 0.f, 1.f);
    pixels[i + 1] = std::clamp(rgb.g, 0.f, 1.f);
    pixels[i + 2] = std::clamp(rgb.b, 0.f, 1.f);
  }
}

}  // namespace osprey
