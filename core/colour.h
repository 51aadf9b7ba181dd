// Colours as augmentation changes them: Darknet's HSV, shared by both devices.
#pragma once

#include "core/device.h"

namespace osprey {

struct Hsv {
  float h, s, v;  // hue 0..1, saturation 0..1, value 0..1
};
struct Rgb {
  float r, g, b;
};

// Without branches here and below, so that loops over pixels vectorise.
HOST_DEVICE inline Hsv rgb_to_hsv(Rgb c) {
  const float g_or_b = c.g < c.b ? c.b : c.g, g_and_b = c.b < c.g ? c.b : c.g;
  const float most = c.r < g_or_b ? g_or_b : c.r, least = g_and_b < c.r ? g_and_b : c.r;
  const float range = most - least;
  const bool coloured = range > 0, red = c.r == most, green = c.g == most;
  const float difference = red ? c.g - c.b : green ? c.b - c.r : c.r - c.g;
  const float third = red ? 0.0f : green ? 2.0f : 4.0f;
  const float h = third + difference / (coloured ? range : 1.0f);
  return {(h + (h < 0 ? 6.0f : 0.0f)) / 6, (coloured ? range : 0.0f) / (coloured ? most : 1.0f), most};
}

HOST_DEVICE inline float clamped_unit(float v) { return v < 0 ? 0.0f : v > 1 ? 1.0f : v; }

// Each of the three is v (1 - s w); w goes from 0 to 1 over a sixth of the circle, stays for two, and comes
// back. At a whole turn, h = 1, that of blue has not come back, as in Darknet.
HOST_DEVICE inline Rgb hsv_to_rgb(Hsv c) {
  const float h = 6 * c.h;
  const float of_red = clamped_unit(h - 1) - clamped_unit(h - 4);
  const float of_green = 1 - clamped_unit(h) + clamped_unit(h - 3);
  const float of_blue = 1 - clamped_unit(h - 2) + clamped_unit(h < 6 ? h - 5 : 0.0f);
  return {c.v * (1 - c.s * of_red), c.v * (1 - c.s * of_green), c.v * (1 - c.s * of_blue)};
}

// Turns hues by `hue` (in turns), multiplies saturation and value, clamps to 0..1: Darknet's distort_image.
struct Recolour {
  float hue = 0, saturation = 1, exposure = 1;

  HOST_DEVICE bool changes() const { return hue != 0 || saturation != 1 || exposure != 1; }
  HOST_DEVICE Rgb operator()(Rgb colour) const {
    Hsv c = rgb_to_hsv(colour);
    c.h += hue;
    c.h -= c.h > 1 ? 1.0f : 0.0f;
    c.h += c.h < 0 ? 1.0f : 0.0f;
    c.s *= saturation;
    c.v *= exposure;
    const Rgb rgb = hsv_to_rgb(c);
    return {clamped_unit(rgb.r), clamped_unit(rgb.g), clamped_unit(rgb.b)};
  }
  // Where there is no colour, only the exposure counts.
  HOST_DEVICE float operator()(float value) const { return clamped_unit(value * exposure); }
};

}  // namespace osprey
