// How an input of the network is put together from images of 8 or 16 bits: a window of one image, or of each
// of four (mosaic), resized or turned, mirrored, re-coloured, with noise; or the mean of two. The host
// describes it, since all that is drawn is drawn there; the pixels are made on the CPU by data/render.cpp or
// by the kernel of cuda/preprocess.cu. Both use the formulas here, multiply and add in two roundings, and
// agree to the last bit.
#pragma once

#include <cmath>
#include <cstdint>

#include "core/colour.h"
#include "core/device.h"
#include "core/random.h"

namespace osprey {

// A rectangle in whole pixels. As a window of an image it may hang over the edge, which is then repeated.
struct ImageWindow {
  int left = 0, top = 0, width = 0, height = 0;
};

// The pixel (x, y) of the canvas is (xx x + xy y + x0, yx x + yy y + y0) of an image; whole numbers are the
// centres of pixels.
struct Affine {
  float xx = 1, xy = 0, x0 = 0, yx = 0, yy = 1, y0 = 0;
};

// What fills a rectangle of the network input: a piece of a canvas of the input's size, grey (0.5), on which
// the window of an image lies, resized to the size of `place`; or, if `turned`, on whose `place` the image
// lies as `turn` says, its edge repeated.
struct SamplePart {
  ImageWindow shown;           // of the network input: what this part fills
  int from_x = 0, from_y = 0;  // the pixel of the canvas that comes to the first pixel of `shown`
  ImageWindow place;           // of the canvas: where the window lies
  bool mirror = false;         // left and right of the window
  ImageWindow window;          // of the image; if turned, its (-left, -top) is where the bytes begin
  bool turned = false;         // then `mirror` is not looked at
  Affine turn;
  Recolour colour;         // of the whole canvas, the grey included
  float noise = 0;         // deviation of what is added to each value of it then,
  uint64_t noise_key = 0;  // drawn with this
  int image_width = 0, image_height = 0;
  int value_bytes = 1;  // of each of the image's values: those of two begin at an even byte
  int64_t offset =
      0;  // of the image's first byte, [image_height,image_width,channels], in a buffer of several
};

constexpr int kMaxParts = 4;
constexpr int kMaxChannels = 64;  // of an image: a bound for what files may claim
// Where parts lie over each other, the first is seen.
struct SamplePlan {
  int parts = 0;
  bool mixed = false;  // the sample is the mean of two parts, which both fill the input
  SamplePart part[kMaxParts];
};

// Darknet's numbers: a byte / 255 in double, rounded once. Division in float gives the same 256 values.
HOST_DEVICE inline float unit_value(uint8_t byte) { return float(byte) / 255.0f; }
HOST_DEVICE inline float unit_value(uint16_t value) { return float(value) / 65535.0f; }

// Darknet's bilinear resize (resize_image) along one axis: the corner pixels of both grids are aligned, and
// shrinking has no filter. An output value is a sum of two input values.
struct Tap {
  int first = 0, second = 0;  // pixels of the window
  float first_share = 1, second_share = 0;
};

HOST_DEVICE inline float tap_scale(int outputs, int inputs) {
  return outputs > 1 ? float(inputs - 1) / float(outputs - 1) : 0.0f;
}

// `scale`: tap_scale(width, inputs). The last pixel is a copy of the window's last.
HOST_DEVICE inline Tap column_tap(int column, int width, int inputs, float scale) {
  if (column == width - 1 || inputs == 1) return {inputs - 1, inputs - 1, 1, 0};
  const float x = float(column) * scale;
  const int first = int(x);
  const float share = x - float(first);
  return {first, first + 1, 1 - share, share};
}

// The last row takes no part from the row below, though its share is cut by that part, as in Darknet.
HOST_DEVICE inline Tap row_tap(int row, int height, int inputs, float scale) {
  const float y = float(row) * scale;
  const int first = int(y) < inputs - 1 ? int(y) : inputs - 1;
  const float share = y - float(first);
  if (row == height - 1 || inputs == 1) return {first, first, 1 - share, 0};
  return {first, first + 1, 1 - share, share};
}

HOST_DEVICE inline int clamped(int i, int size) { return i < 0 ? 0 : i < size ? i : size - 1; }

// The four pixels of an image around a point, and how near it is to the right and the lower ones.
struct Around {
  int left, right, upper, lower;
  float across, down;

  HOST_DEVICE float mean(float upper_left, float upper_right, float lower_left, float lower_right) const {
    const float above = (1 - across) * upper_left + across * upper_right;
    const float below = (1 - across) * lower_left + across * lower_right;
    return (1 - down) * above + down * below;
  }
};

// For the pixel (x, y) of the canvas of a turned part.
HOST_DEVICE inline Around around(const SamplePart& part, int x, int y) {
  const Affine& t = part.turn;
  const float u = t.xx * float(x) + t.xy * float(y) + t.x0, v = t.yx * float(x) + t.yy * float(y) + t.y0;
  const float left = floorf(u), upper = floorf(v);
  const int column = part.window.left + int(left), row = part.window.top + int(upper);
  return {clamped(column, part.image_width),
          clamped(column + 1, part.image_width),
          clamped(row, part.image_height),
          clamped(row + 1, part.image_height),
          u - left,
          v - upper};
}

// Of mean 0 and deviation 1, and nearly normal: a sum of eight 16-bit numbers, which is the same on every
// device. `value` counts the values of the network input.
HOST_DEVICE inline float noise_at(uint64_t key, int value) {
  const Philox drawn = philox({{uint32_t(value), 0, 0, 0}}, key);
  int sum = 0;
  for (const uint32_t bits : drawn.v) sum += int(bits & 0xFFFF) + int(bits >> 16);
  constexpr float kMean = 8 * 65535 / 2, kDeviation = 53510.04f;  // sqrt(8 (65536^2 - 1) / 12)
  return (float(sum) - kMean) * (1 / kDeviation);
}

}  // namespace osprey
