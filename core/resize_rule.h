// The sizes to which two-stage detectors bring images: the shorter side to a fixed length, unless the longer
// one would become too long; then padded, so that every map of a pyramid has whole cells.
#pragma once

#include <algorithm>
#include <cmath>

namespace osprey {

struct ImageSize {  // pixels
  int height = 0, width = 0;
  bool operator==(const ImageSize& o) const { return height == o.height && width == o.width; }
};

struct ResizeRule {
  int shorter = 800;   // the length of the shorter side,
  int longest = 1333;  // and what the longer one may have
  int multiple = 32;   // of which both sides are one after padding
};

// The factor is rounded as torchvision rounds it (a reciprocal, then a product, both to floats), because the
// sides are rounded down: 427 pixels that become 800 by one way become 799 by another.
inline ImageSize resized(ImageSize image, ResizeRule rule) {
  const auto [shorter, longer] = std::minmax(image.height, image.width);
  const float to_shorter = 1 / float(shorter), to_longest = 1 / float(longer);
  const double factor = std::min(to_shorter * float(rule.shorter), to_longest * float(rule.longest));
  const auto side = [&](int pixels) { return std::max(1, int(std::floor(pixels * factor))); };
  return {side(image.height), side(image.width)};
}

// With the padding below and at the right.
inline ImageSize padded(ImageSize image, ResizeRule rule) {
  const auto side = [&](int pixels) { return (pixels + rule.multiple - 1) / rule.multiple * rule.multiple; };
  return {side(image.height), side(image.width)};
}

}  // namespace osprey
