#include "data/render.h"

#include <algorithm>
#include <tuple>

#include "data/resize.h"

namespace osprey {
namespace {

// Re-coloured and noisy, in place; `first`: of the row's values among those of the input.
void finish(const SamplePart& part, float* row, size_t count, int channels, size_t first) {
  recolour(row, count, channels, part.colour);
  for (size_t i = 0; part.noise > 0 && i < count; ++i)
    row[i] = clamped_unit(row[i] + part.noise * noise_at(part.noise_key, int(first + i)));
}

// Of a canvas with a grey margin only what is shown is made.
template <class AnyImage>
void paint_resized(const SamplePart& part, const AnyImage& image, int width, float* pixels) {
  const ImageWindow &shown = part.shown, &place = part.place;
  const size_t channels = size_t(image.channels), count = size_t(shown.width) * channels;
  const int left = std::max(part.from_x, place.left);
  const int right = std::max(left, std::min(part.from_x + shown.width, place.left + place.width));
  ResizedRows rows(image,
                   {part.window, place.width, place.height, part.mirror, left - place.left, right - left});
  for (int y = 0; y < shown.height; ++y) {
    const size_t first = (size_t(shown.top + y) * size_t(width) + size_t(shown.left)) * channels;
    float* to = pixels + first;
    const int row = part.from_y + y - place.top;
    const bool holds = row >= 0 && row < place.height && right > left;
    if (!holds || right - left < shown.width) std::fill_n(to, count, .5f);
    if (holds) rows.write(row, to + size_t(left - part.from_x) * channels);
    finish(part, to, count, int(channels), first);
  }
}

void paint_turned(const SamplePart& part, const Image& image, int width, float* pixels) {
  const ImageWindow &shown = part.shown, &place = part.place;
  const int channels = image.channels;
  for (int row = 0; row < shown.height; ++row) {
    const size_t first = (size_t(shown.top + row) * size_t(width) + size_t(shown.left)) * size_t(channels);
    for (int column = 0; column < shown.width; ++column) {
      const int x = part.from_x + column, y = part.from_y + row;
      float* to = pixels + first + size_t(column) * size_t(channels);
      if (x < place.left || x >= place.left + place.width || y < place.top || y >= place.top + place.height) {
        std::fill_n(to, channels, .5f);
        continue;
      }
      const Around at = around(part, x, y);
      for (int c = 0; c < channels; ++c)
        to[c] = at.mean(image.at(at.upper, at.left, c), image.at(at.upper, at.right, c),
                        image.at(at.lower, at.left, c), image.at(at.lower, at.right, c));
    }
    finish(part, pixels + first, size_t(shown.width) * size_t(channels), channels, first);
  }
}

const Image& in_floats(const Image& image) { return image; }
Image in_floats(const ByteImage& image) { return unit_image(image); }

template <class AnyImage>
void paint(const SamplePart& part, const AnyImage& image, int width, float* pixels) {
  if (part.turned)
    paint_turned(part, in_floats(image), width, pixels);
  else
    paint_resized(part, image, width, pixels);
}

template <class AnyImage>
void render_plan(const SamplePlan& plan, std::span<const AnyImage> images, int width, int height,
                 float* pixels) {
  // The first part lies over the others.
  for (int k = plan.parts - 1; k >= 0; --k) {
    if (k == 0 && plan.mixed) break;
    paint(plan.part[k], images[size_t(k)], width, pixels);
  }
  if (!plan.mixed) return;
  std::vector<float> first(size_t(width) * size_t(height) * size_t(images[0].channels));
  paint(plan.part[0], images[0], width, first.data());
  for (size_t i = 0; i < first.size(); ++i) pixels[i] = 0.5f * first[i] + 0.5f * pixels[i];
}

}  // namespace

void render(const SamplePlan& plan, std::span<const Image> images, int width, int height, float* pixels) {
  render_plan(plan, images, width, height, pixels);
}

void render(const SamplePlan& plan, std::span<const ByteImage> images, int width, int height, float* pixels) {
  render_plan(plan, images, width, height, pixels);
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
