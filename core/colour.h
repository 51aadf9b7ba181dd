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

HOST_DEVICE inline Hsv rgb_to_hsv(Rgb c) {
  const float g_or_b = c.g < c.b ? c.b : c.g, g_and_b = c.b < c.g ? c.b : c.g;
  const float most = c.r < g_or_b ? g_or_b : c.r, least = g_and_b < c.r ? g_and_b : c.r;
  const float range = most - least;
  if (range <= 0) return {0, 0, most};
  float h = c.r == most   ? (c.g - c.b) / range
            : c.g == most ? 2 + (c.b - c.r) / range
                          : 4 + (c.r - c.g) / range;
  if (h < 0) h += 6;
  return {h / 6, range / most, most};
}

HOST_DEVICE inline Rgb hsv_to_rgb(Hsv c) {
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

// Turns hues by `hue` (in turns), multiplies saturation and value, clamps to 0..1: Darknet's distort_image.
struct Recolour {
  float hue = 0, saturation = 1, exposure = 1;

  HOST_DEVICE bool changes() const { return hue != 0 || saturation != 1 || exposure != 1; }
  HOST_DEVICE static float clamped(float v) { return v < 0 ? 0.0f : v > 1 ? 1.0f : v; }
  HOST_DEVICE Rgb operator()(Rgb colour) const {
    Hsv c = rgb_to_hsv(colour);
    c.h += hue;
    if (c.h > 1) c.h -= 1;
    if (c.h < 0) c.h += 1;
    c.s *= saturation;
    c.v *= exposure;
    const Rgb rgb = hsv_to_rgb(c);
    return {clamped(rgb.r), clamped(rgb.g), clamped(rgb.b)};
  }
  // Where there is no colour, only the exposure counts.
  HOST_DEVICE float operator()(float value) const { return clamped(value * exposure); }
};

}  // namespace osprey
