#include "data/render.h"

#include <algorithm>
#include <tuple>

namespace osprey {
namespace {

// The canvas of a part as resizing makes it, whole; then a piece of it.
void paint_resized(const SamplePart& part, const Image& image, int width, int height, float* pixels,
                   std::vector<float>& piece) {
  const size_t channels = size_t(image.channels), stride = size_t(width) * channels;
  const ImageWindow &shown = part.shown, &place = part.place;
  const bool whole = shown.width == width && shown.height == height;
  if (!whole) piece.resize(stride * size_t(height));
  float* canvas = whole ? pixels : piece.data();
  if (place.width < width || place.height < height) std::fill_n(canvas, stride * size_t(height), .5f);
  resize_window(image, part.window, part.mirror,
                canvas + size_t(place.top) * stride + size_t(place.left) * channels, place.width,
                place.height, stride);
  for (int y = 0; !whole && y < shown.height; ++y)
    std::copy_n(canvas + size_t(part.from_y + y) * stride + size_t(part.from_x) * channels,
                size_t(shown.width) * channels,
                pixels + size_t(shown.top + y) * stride + size_t(shown.left) * channels);
}

void paint_turned(const SamplePart& part, const Image& image, int width, float* pixels) {
  const ImageWindow &shown = part.shown, &place = part.place;
  for (int row = 0; row < shown.height; ++row)
    for (int column = 0; column < shown.width; ++column) {
      const int x = part.from_x + column, y = part.from_y + row, channels = image.channels;
      float* to =
          pixels + (size_t(shown.top + row) * size_t(width) + size_t(shown.left + column)) * size_t(channels);
      if (x < place.left || x >= place.left + place.width || y < place.top || y >= place.top + place.height) {
        std::fill_n(to, channels, .5f);
        continue;
      }
      const Around at = around(part, x, y);
      for (int c = 0; c < channels; ++c)
        to[c] = at.mean(image.at(at.upper, at.left, c), image.at(at.upper, at.right, c),
                        image.at(at.lower, at.left, c), image.at(at.lower, at.right, c));
    }
}

void paint(const SamplePart& part, const Image& image, int width, int height, float* pixels,
           std::vector<float>& piece) {
  if (part.turned)
    paint_turned(part, image, width, pixels);
  else
    paint_resized(part, image, width, height, pixels, piece);
  const ImageWindow& shown = part.shown;
  const size_t channels = size_t(image.channels), count = size_t(shown.width) * channels;
  for (int row = 0; row < shown.height; ++row) {
    const size_t first = (size_t(shown.top + row) * size_t(width) + size_t(shown.left)) * channels;
    recolour(pixels + first, count, int(channels), part.colour);
    for (size_t i = first; part.noise > 0 && i < first + count; ++i)
      pixels[i] = Recolour::clamped(pixels[i] + part.noise * noise_at(part.noise_key, int(i)));
  }
}

}  // namespace

void render(const SamplePlan& plan, std::span<const Image> images, int width, int height, float* pixels) {
  std::vector<float> piece;
  // The first part lies over the others.
  for (int k = plan.parts - 1; k >= 0; --k) {
    if (k == 0 && plan.mixed) break;
    paint(plan.part[k], images[size_t(k)], width, height, pixels, piece);
  }
  if (!plan.mixed) return;
  std::vector<float> first(size_t(width) * size_t(height) * size_t(images[0].channels));
  paint(plan.part[0], images[0], width, height, first.data(), piece);
  for (size_t i = 0; i < first.size(); ++i) pixels[i] = 0.5f * first[i] + 0.5f * pixels[i];
}

namespace {

struct Range {
  int first, last;  // both included
};

// What an axis of an image is read at for the canvas' pixels from `from` on, `count` of them: the canvas
// shows `inputs` pixels from `start` on, on `outputs` from `place` on. Pixels beyond the image's edge are the
// edge.
template <class TapAt>
Range read_range(int from, int count, int place, int outputs, bool mirror, int start, int inputs, int size,
                 TapAt tap_at) {
  int first = std::clamp(from - place, 0, outputs - 1);
  int last = std::clamp(from + count - 1 - place, 0, outputs - 1);
  if (mirror) std::tie(first, last) = std::pair(outputs - 1 - last, outputs - 1 - first);
  last = std::max(first, last);
  const float scale = tap_scale(outputs, inputs);
  const auto second = [&](int i) { return tap_at(std::max(i, first), outputs, inputs, scale).second; };
  // The last row alone may reach less far than the one above it.
  return {clamped(start + tap_at(first, outputs, inputs, scale).first, size),
          clamped(start + std::max(second(last), second(last - 1)), size)};
}

struct Ranges {
  Range x, y;
};

Ranges resized_ranges(const SamplePart& part) {
  const ImageWindow &shown = part.shown, &place = part.place, &window = part.window;
  return {read_range(part.from_x, shown.width, place.left, place.width, part.mirror, window.left,
                     window.width, part.image_width, column_tap),
          read_range(part.from_y, shown.height, place.top, place.height, false, window.top, window.height,
                     part.image_height, row_tap)};
}

// An affine map has its extremes in the corners.
Ranges turned_ranges(const SamplePart& part) {
  Ranges ranges{{part.image_width - 1, 0}, {part.image_height - 1, 0}};
  const auto reach = [](Range& range, int from, int to) {
    range = {std::min(range.first, from), std::max(range.last, to)};
  };
  for (const int x : {part.from_x, part.from_x + part.shown.width - 1})
    for (const int y : {part.from_y, part.from_y + part.shown.height - 1}) {
      const Around at = around(part, x, y);
      reach(ranges.x, at.left, at.right);
      reach(ranges.y, at.upper, at.lower);
    }
  return ranges;
}

}  // namespace

void pack(SamplePart& part, const ByteImage& image, std::vector<uint8_t>& bytes) {
  const auto [x, y] = part.turned ? turned_ranges(part) : resized_ranges(part);
  const size_t pixel = image.pixel_bytes();
  bytes.resize(image_begin(bytes.size()));
  part.offset = int64_t(bytes.size());
  part.value_bytes = image.value_bytes;
  part.image_width = x.last - x.first + 1;
  part.image_height = y.last - y.first + 1;
  part.window.left -= x.first;
  part.window.top -= y.first;
  for (int row = y.first; row <= y.last; ++row) {
    const auto begin =
        image.pixels.begin() + ptrdiff_t(size_t(row) * image.row_bytes() + size_t(x.first) * pixel);
    bytes.insert(bytes.end(), begin, begin + ptrdiff_t(size_t(part.image_width) * pixel));
  }
}

}  // namespace osprey
