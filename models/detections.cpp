#include "models/detections.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "layers/nms/nms.h"

namespace osprey {
namespace {

CentreBox in_image(CentreBox b, Placement p) {
  return {(b.x - p.x) / p.w, (b.y - p.y) / p.h, b.w / p.w, b.h / p.h};
}

bool finite(Box b) {
  return std::isfinite(b.x1) && std::isfinite(b.y1) && std::isfinite(b.x2) && std::isfinite(b.y2);
}

}  // namespace

Candidates candidates(const std::vector<Head*>& heads, int image, float threshold) {
  Candidates all;
  for (const Head* head : heads) {
    if (head->classes() != heads[0]->classes())
      fail("the heads of the network have {} and {} classes: their boxes cannot be listed together",
           heads[0]->classes(), head->classes());
    head->decode(head->y, image, threshold, all);
  }
  return all;
}

std::vector<Detection> detections(const std::vector<Head*>& heads, int image, float threshold,
                                  float nms_threshold, Placement placement, int image_width,
                                  int image_height) {
  if (heads.empty()) fail("the network has no head that detects: expected a [yolo] or [region] section");
  Candidates found = candidates(heads, image, threshold);
  // Before suppression, as in Darknet: the distances that its greedy kinds measure are those in the image,
  // which a letterbox stretches differently along the two axes.
  for (CentreBox& box : found.boxes) box = in_image(box, placement);
  if (nms_threshold > 0) nms(found, nms_threshold, heads.back()->nms_kind(), heads.back()->beta_nms());
  std::vector<Detection> result;
  for (int i = 0; i < found.count(); ++i) {
    const Box box = scaled(corners(found.boxes[i]), float(image_width), float(image_height));
    if (!finite(box)) continue;
    for (int c = 0; c < found.classes; ++c)
      if (found.of(i)[c] > 0) result.push_back({c, found.of(i)[c], box});
  }
  std::stable_sort(result.begin(), result.end(),
                   [](const Detection& a, const Detection& b) { return a.score > b.score; });
  return result;
}

}  // namespace osprey
