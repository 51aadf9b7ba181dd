#include "cuda/preprocess.h"

#include <cassert>

#include "cuda/launch.h"

namespace osprey::cuda {
namespace {

__device__ inline bool inside(const ImageWindow& w, int x, int y) {
  return x >= w.left && x < w.left + w.width && y >= w.top && y < w.top + w.height;
}

// Parts cover the input without a gap, so that what is in none of the first is in the last.
__device__ inline const SamplePart& part_at(const SamplePlan& plan, int x, int y) {
  int k = 0;
  while (k < plan.parts - 1 && !inside(plan.part[k].shown, x, y)) ++k;
  return plan.part[k];
}

__device__ inline void turned_pixel(const SamplePart& part, View<const uint8_t> image, int x, int y,
                                    float* values) {
  const Around at = around(part, x, y);
  for (int c = 0; c < image.shape.c; ++c)
    values[c] =
        at.mean(unit_value(image(0, at.upper, at.left, c)), unit_value(image(0, at.upper, at.right, c)),
                unit_value(image(0, at.lower, at.left, c)), unit_value(image(0, at.lower, at.right, c)));
}

// A pixel of the canvas before its colours change.
__device__ inline void canvas_pixel(const SamplePart& part, const uint8_t* pixels, int channels, int x, int y,
                                    float* values) {
  if (!inside(part.place, x, y)) {
    for (int c = 0; c < channels; ++c) values[c] = 0.5f;
    return;
  }
  const View<const uint8_t> image(pixels + part.offset, {1, part.image_height, part.image_width, channels});
  if (part.turned) return turned_pixel(part, image, x, y, values);
  const ImageWindow &place = part.place, &window = part.window;
  const int column = part.mirror ? place.left + place.width - 1 - x : x - place.left;
  const Tap across = column_tap(column, place.width, window.width, tap_scale(place.width, window.width));
  const Tap down =
      row_tap(y - place.top, place.height, window.height, tap_scale(place.height, window.height));
  const int left = clamped(window.left + across.first, part.image_width),
            right = clamped(window.left + across.second, part.image_width);
  const int upper = clamped(window.top + down.first, part.image_height),
            lower = clamped(window.top + down.second, part.image_height);
  // Along rows first, then along columns: the order of the roundings is that of Darknet.
  for (int c = 0; c < channels; ++c) {
    const float above = across.first_share * unit_value(image(0, upper, left, c)) +
                        across.second_share * unit_value(image(0, upper, right, c));
    const float below = across.first_share * unit_value(image(0, lower, left, c)) +
                        across.second_share * unit_value(image(0, lower, right, c));
    values[c] = down.first_share * above + down.second_share * below;
  }
}

__device__ inline void recolour(const Recolour& colour, int channels, float* values) {
  if (!colour.changes()) return;
  if (channels == 3) {
    const Rgb rgb = colour(Rgb{values[0], values[1], values[2]});
    values[0] = rgb.r;
    values[1] = rgb.g;
    values[2] = rgb.b;
  } else {
    for (int c = 0; c < channels; ++c) values[c] = colour(values[c]);
  }
}

// What a part makes of a pixel of the input; `pixel` counts them over an image.
__device__ inline void part_pixel(const SamplePart& part, const uint8_t* pixels, int channels, int x, int y,
                                  int pixel, float* values) {
  canvas_pixel(part, pixels, channels, x - part.shown.left + part.from_x, y - part.shown.top + part.from_y,
               values);
  recolour(part.colour, channels, values);
  if (part.noise == 0) return;
  for (int c = 0; c < channels; ++c)
    values[c] = Recolour::clamped(values[c] + part.noise * noise_at(part.noise_key, pixel * channels + c));
}

// One thread per pixel of the input, since hues need all channels of one.
template <class T>
__global__ void preprocess_kernel(const uint8_t* pixels, const SamplePlan* plans, View<T> y) {
  const int i = global_thread();
  if (i >= y.shape.rows()) return;
  const int n = i / (y.shape.h * y.shape.w), row = i / y.shape.w % y.shape.h, column = i % y.shape.w;
  const SamplePlan& plan = plans[n];
  const int pixel = row * y.shape.w + column;
  float values[kMaxChannels];
  part_pixel(part_at(plan, column, row), pixels, y.shape.c, column, row, pixel, values);
  if (plan.mixed) {
    float others[kMaxChannels];
    part_pixel(plan.part[1], pixels, y.shape.c, column, row, pixel, others);
    for (int c = 0; c < y.shape.c; ++c) values[c] = 0.5f * values[c] + 0.5f * others[c];
  }
  for (int c = 0; c < y.shape.c; ++c) y[i * y.shape.c + c] = T(values[c]);
}

}  // namespace

void preprocess(Stream& s, const uint8_t* pixels, const SamplePlan* plans, Tensor y) {
  assert(y.shape.c <= kMaxChannels);
  with_type(y.type, [&](auto t) {
    using T = decltype(t);
    launch<preprocess_kernel<T>>(s, one_thread_each(y.shape.rows()), pixels, plans, y.view<T>());
  });
}

}  // namespace osprey::cuda
