// How an input of the network is put together from images of bytes: a window of one image, or of each of four
// (mosaic), resized, mirrored and re-coloured. The host describes it, since all that is drawn is drawn there;
// the pixels are made on the CPU by data/augment.cpp or by the kernel of cuda/preprocess.cu. Both use the
// formulas here, multiply and add in two roundings, and agree to the last bit.
#pragma once

#include <cstdint>

#include "core/colour.h"
#include "core/device.h"

namespace osprey {

// A rectangle in whole pixels. As a window of an image it may hang over the edge, which is then repeated.
struct ImageWindow {
  int left = 0, top = 0, width = 0, height = 0;
};

// What fills a rectangle of the network input: a piece of a canvas of the input's size, grey (0.5), on which
// the window of an image lies, resized to the size of `place`.
struct SamplePart {
  ImageWindow shown;           // of the network input: what this part fills
  int from_x = 0, from_y = 0;  // the pixel of the canvas that comes to the first pixel of `shown`
  ImageWindow place;           // of the canvas: where the window lies
  bool mirror = false;         // left and right of the window
  ImageWindow window;          // of the image
  Recolour colour;             // of the whole canvas, the grey included
  int image_width = 0, image_height = 0;
  int64_t offset =
      0;  // of the image's first byte, [image_height,image_width,channels], in a buffer of several
};

constexpr int kMaxParts = 4;
constexpr int kMaxChannels = 4;  // as many as image files have
struct SamplePlan {
  int parts = 0;
  SamplePart part[kMaxParts];
};

// Darknet's numbers: a byte / 255 in double, rounded once. Division in float gives the same 256 values.
HOST_DEVICE inline float unit_value(uint8_t byte) { return float(byte) / 255.0f; }

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

}  // namespace osprey
