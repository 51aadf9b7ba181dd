#include "cuda/preprocess.h"

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

// Some of a pixel's channels, of `all`. Hues need the three of a colour; of more channels each thread makes
// four, which fit into registers.
constexpr int kTogether = 4;
struct Channels {
  int first, count, all;
};

template <class Value>
__device__ inline void turned_pixel(const SamplePart& part, View<const Value> image, Channels channels, int x,
                                    int y, float* values) {
  const Around at = around(part, x, y);
  for (int i = 0; i < channels.count; ++i) {
    const int c = channels.first + i;
    values[i] =
        at.mean(unit_value(image(0, at.upper, at.left, c)), unit_value(image(0, at.upper, at.right, c)),
                unit_value(image(0, at.lower, at.left, c)), unit_value(image(0, at.lower, at.right, c)));
  }
}

// A pixel of the canvas where the image is.
template <class Value>
__device__ inline void image_pixel(const SamplePart& part, const Value* pixels, Channels channels, int x,
                                   int y, float* values) {
  const View<const Value> image(pixels, {1, part.image_height, part.image_width, channels.all});
  if (part.turned) return turned_pixel(part, image, channels, x, y, values);
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
  for (int i = 0; i < channels.count; ++i) {
    const int c = channels.first + i;
    const float above = across.first_share * unit_value(image(0, upper, left, c)) +
                        across.second_share * unit_value(image(0, upper, right, c));
    const float below = across.first_share * unit_value(image(0, lower, left, c)) +
                        across.second_share * unit_value(image(0, lower, right, c));
    values[i] = down.first_share * above + down.second_share * below;
  }
}

// A pixel of the canvas before its colours change.
__device__ inline void canvas_pixel(const SamplePart& part, const uint8_t* bytes, Channels channels, int x,
                                    int y, float* values) {
  const uint8_t* pixels = bytes + part.offset;
  if (!inside(part.place, x, y)) {
    for (int i = 0; i < channels.count; ++i) values[i] = 0.5f;
  } else if (part.value_bytes == 2) {
    image_pixel(part, reinterpret_cast<const uint16_t*>(pixels), channels, x, y, values);
  } else {
    image_pixel(part, pixels, channels, x, y, values);
  }
}

__device__ inline void recolour(const Recolour& colour, Channels channels, float* values) {
  if (!colour.changes()) return;
  if (channels.all == 3) {
    const Rgb rgb = colour(Rgb{values[0], values[1], values[2]});
    values[0] = rgb.r;
    values[1] = rgb.g;
    values[2] = rgb.b;
  } else {
    for (int i = 0; i < channels.count; ++i) values[i] = colour(values[i]);
  }
}

// What a part makes of a pixel of the input; `pixel` counts them over an image.
__device__ inline void part_pixel(const SamplePart& part, const uint8_t* bytes, Channels channels, int x,
                                  int y, int pixel, float* values) {
  canvas_pixel(part, bytes, channels, x - part.shown.left + part.from_x, y - part.shown.top + part.from_y,
               values);
  recolour(part.colour, channels, values);
  if (part.noise == 0) return;
  const int first = pixel * channels.all + channels.first;
  for (int i = 0; i < channels.count; ++i)
    values[i] = clamped_unit(values[i] + part.noise * noise_at(part.noise_key, first + i));
}

HOST_DEVICE inline int groups_of(int channels) { return (channels + kTogether - 1) / kTogether; }

// One thread per pixel of the input and group of its channels; neighbours make a pixel's groups.
template <class T>
__global__ void preprocess_kernel(const uint8_t* bytes, const SamplePlan* plans, View<T> y) {
  const int i = global_thread(), groups = groups_of(y.shape.c);
  if (i >= y.shape.rows() * groups) return;
  const int at = i / groups, first = i % groups * kTogether;
  const Channels channels{first, min(kTogether, y.shape.c - first), y.shape.c};
  const int n = at / (y.shape.h * y.shape.w), row = at / y.shape.w % y.shape.h, column = at % y.shape.w;
  const SamplePlan& plan = plans[n];
  const int pixel = row * y.shape.w + column;
  float values[kTogether];
  part_pixel(part_at(plan, column, row), bytes, channels, column, row, pixel, values);
  if (plan.mixed) {
    float others[kTogether];
    part_pixel(plan.part[1], bytes, channels, column, row, pixel, others);
    for (int c = 0; c < channels.count; ++c) values[c] = 0.5f * values[c] + 0.5f * others[c];
  }
  for (int c = 0; c < channels.count; ++c) y[at * y.shape.c + first + c] = T(values[c]);
}

}  // namespace

void preprocess(Stream& s, const uint8_t* bytes, const SamplePlan* plans, Tensor y) {
  with_type(y.type, [&](auto t) {
    using T = decltype(t);
    launch<preprocess_kernel<T>>(s, one_thread_each(y.shape.rows() * groups_of(y.shape.c)), bytes, plans,
                                 y.view<T>());
  });
}

}  // namespace osprey::cuda
