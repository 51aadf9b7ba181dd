#include "core/anchors.h"

#include <algorithm>

#include "core/error.h"

namespace osprey {
namespace {

void require_positive(const char* what, const std::vector<float>& values) {
  for (float v : values)
    if (!(v > 0)) fail("{} of anchors: {} is not above 0", what, v);
}

Box about_origin(float width, float height) { return {-width / 2, -height / 2, width / 2, height / 2}; }

Box shape(const AnchorShapes& shapes, float size, float ratio) {
  const float root = std::sqrt(ratio);
  const Box exact = about_origin(size / root, size * root);
  switch (shapes.rounding) {
    case AnchorShapes::Rounding::none:
      return exact;
    case AnchorShapes::Rounding::corners:
      return {std::nearbyint(exact.x1), std::nearbyint(exact.y1), std::nearbyint(exact.x2),
              std::nearbyint(exact.y2)};
    case AnchorShapes::Rounding::base_sizes: {
      const float width = std::nearbyint(shapes.base / root), scale = size / shapes.base;
      return about_origin(width * scale, std::nearbyint(width * ratio) * scale);
    }
  }
  return exact;
}

}  // namespace

std::vector<Box> cell_anchors(const AnchorShapes& shapes) {
  if (shapes.sizes.empty() || shapes.ratios.empty())
    fail("anchors need sizes and ratios: got {} and {}", shapes.sizes.size(), shapes.ratios.size());
  require_positive("sizes", shapes.sizes);
  require_positive("ratios", shapes.ratios);
  std::vector<Box> boxes;
  if (shapes.order == AnchorShapes::Order::ratios_first) {
    for (float ratio : shapes.ratios)
      for (float size : shapes.sizes) boxes.push_back(shape(shapes, size, ratio));
  } else {
    for (float size : shapes.sizes)
      for (float ratio : shapes.ratios) boxes.push_back(shape(shapes, size, ratio));
  }
  return boxes;
}

std::vector<float> octave_sizes(float base, int count, bool whole) {
  std::vector<float> sizes;
  for (int k = 0; k < count; ++k) {
    const double size = base * std::exp2(double(k) / count);
    sizes.push_back(float(whole ? std::floor(size) : size));
  }
  return sizes;
}

std::vector<Box> default_boxes(float min_size, float max_size, const std::vector<float>& ratios,
                               float limit) {
  require_positive("sizes", {min_size, max_size});
  require_positive("ratios", ratios);
  const auto cut = [&](float width, float height) {
    return about_origin(std::min(width, limit), std::min(height, limit));
  };
  const float middle = std::sqrt(min_size * max_size);
  std::vector<Box> boxes = {cut(min_size, min_size), cut(middle, middle)};
  for (float ratio : ratios) {
    const float root = std::sqrt(ratio);
    boxes.push_back(cut(min_size * root, min_size / root));
    boxes.push_back(cut(min_size / root, min_size * root));
  }
  return boxes;
}

}  // namespace osprey
