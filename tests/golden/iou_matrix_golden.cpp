// The IoU family over all pairs of two lists of corners, against torchvision and others.
#include "core/box.h"
#include "tests/golden/golden.h"

namespace osprey {
namespace {

std::vector<Box> boxes(const std::vector<float>& corners, bool inclusive) {
  std::vector<Box> all;
  for (size_t i = 0; i + 3 < corners.size(); i += 4) {
    const Box box{corners[i], corners[i + 1], corners[i + 2], corners[i + 3]};
    all.push_back(inclusive ? from_inclusive(box) : box);
  }
  return all;
}

// "+1" conventions count pixels, first and last included; the others say "no +1" or nothing.
bool inclusive_corners(const golden::Case& c) {
  const auto convention = c.param<std::string>("convention", "");
  return convention.find("+1") != std::string::npos && convention.find("no +1") == std::string::npos;
}

// Where a union is empty, torchvision has NaN and our iou is 0, as is that of mmdet, which clamps the union.
GOLDEN(iou_matrix) {
  const std::vector<Box> a = boxes(c.floats("a"), inclusive_corners(c)),
                         b = boxes(c.floats("b"), inclusive_corners(c));
  const struct {
    const char* name;
    float (*of)(Box, Box);
  } overlaps[] = {{"iou", iou}, {"iof", coverage}, {"giou", giou}, {"diou", diou}, {"ciou", ciou}};
  for (const auto& overlap : overlaps) {
    if (!c.has(overlap.name)) continue;
    std::vector<float> matrix;
    for (Box x : a) {
      for (Box y : b) matrix.push_back(overlap.of(x, y));
    }
    c.expect(overlap.name, matrix);
  }
}

}  // namespace
}  // namespace osprey
