#include "models/detections.h"

#include <algorithm>

#include "core/error.h"
#include "layers/nms/nms.h"

namespace osprey {

Candidates candidates(const std::vector<HeadOutput>& heads, int image, float threshold) {
  Candidates all;
  for (const HeadOutput& from : heads) {
    if (from.head->classes() != heads[0].head->classes())
      fail("the heads of the network have {} and {} classes: their boxes cannot be listed together",
           heads[0].head->classes(), from.head->classes());
    from.head->decode(from.output, image, threshold, all);
  }
  return all;
}

std::vector<Detection> detections(const std::vector<HeadOutput>& heads, int image, float threshold,
                                  float nms_threshold, const ImagePlace& place) {
  if (heads.empty()) fail("the network has no head that detects: expected a [yolo] or [region] section");
  Candidates found = candidates(heads, image, threshold);
  // Before suppression, as in Darknet: the distances that its greedy kinds measure are those in the image,
  // which a letterbox stretches differently along the two axes.
  for (CentreBox& box : found.boxes) box = in_image(box, place.placement);
  const Head& last = *heads.back().head;
  if (nms_threshold > 0) nms(found, nms_threshold, last.nms_kind(), last.beta_nms());
  std::vector<Detection> result;
  for (int i = 0; i < found.count(); ++i) {
    const Box box = scaled(corners(found.boxes[i]), place.width, place.height);
    if (!finite(box)) continue;
    for (int c = 0; c < found.classes; ++c)
      if (found.of(i)[c] > 0) result.push_back({c, found.of(i)[c], box});
  }
  std::stable_sort(result.begin(), result.end(),
                   [](const Detection& a, const Detection& b) { return a.score > b.score; });
  return result;
}

std::vector<Detection> detections(const std::vector<Head*>& heads, int image, float threshold,
                                  float nms_threshold, Placement placement, int image_width,
                                  int image_height) {
  std::vector<HeadOutput> outputs;
  for (const Head* head : heads) outputs.push_back({head, head->y});
  return detections(outputs, image, threshold, nms_threshold,
                    {placement, float(image_width), float(image_height)});
}

}  // namespace osprey
