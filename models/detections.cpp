#include "models/detections.h"

#include <algorithm>

#include "core/error.h"
#include "layers/nms/nms.h"

namespace osprey {

Candidates candidates(const std::vector<HeadOutput>& heads, int image, Thresholds thresholds) {
  Candidates all;
  for (const HeadOutput& from : heads) {
    if (from.head->classes() != heads[0].head->classes())
      fail("the heads of the network have {} and {} classes: their boxes cannot be listed together",
           heads[0].head->classes(), from.head->classes());
    from.head->decode(from.output, image, thresholds, all);
  }
  return all;
}

NmsSettings nms_settings(const Head& last, const DetectorSettings& settings) {
  NmsSettings nms = last.nms();
  if (settings.nms && *settings.nms != nms.kind) nms.kind = *settings.nms, nms.threshold = -1;
  if (settings.nms_threshold) nms.threshold = *settings.nms_threshold;
  return nms;
}

std::vector<Detection> detections(const std::vector<HeadOutput>& heads, int image,
                                  const DetectorSettings& settings, const ImagePlace& place,
                                  Shape network_input) {
  if (heads.empty())
    fail("the network has no head that detects: expected a section such as [yolo] or [rcnn]");
  Candidates found = candidates(heads, image, {settings.threshold, settings.tree_threshold});
  // Before suppression, as in Darknet: the distances that its greedy kinds measure are those in the image,
  // which a letterbox stretches differently along the two axes.
  for (CentreBox& box : found.boxes) box = in_image(box, place.placement);
  const NmsSettings nms_of = nms_settings(*heads.back().head, settings);
  if (nms_of.suppresses() && is_soft(nms_of.kind))
    soft_nms(found, nms_of.soft_rule(), nms_of.classes_apart);
  else if (nms_of.suppresses())
    nms(found, nms_of.rule(network_input.w, network_input.h).in_image(place.placement), nms_of.classes_apart);
  std::vector<Detection> result;
  for (int i = 0; i < found.count(); ++i) {
    const Box box = scaled(corners(found.boxes[i]), place.width, place.height);
    if (!finite(box)) continue;
    for (int c = 0; c < found.classes; ++c)
      if (found.of(i)[c] > settings.threshold) result.push_back({c, found.of(i)[c], box});
  }
  std::stable_sort(result.begin(), result.end(),
                   [](const Detection& a, const Detection& b) { return a.score > b.score; });
  if (nms_of.max_detections > 0 && int(result.size()) > nms_of.max_detections)
    result.resize(size_t(nms_of.max_detections));
  return result;
}

}  // namespace osprey
