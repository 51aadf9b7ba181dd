// Hard non-maximum suppression: which boxes stay, in falling order of score, as torchvision and mmcv have it.
#include "layers/nms/nms.h"

#include "tests/golden/golden.h"

namespace osprey {
namespace {

std::vector<Box> boxes(const golden::Case& c) {
  const std::vector<float> corners = c.floats("boxes");
  std::vector<Box> all;
  for (size_t i = 0; i + 3 < corners.size(); i += 4)
    all.push_back({corners[i], corners[i + 1], corners[i + 2], corners[i + 3]});
  return all;
}

GOLDEN(nms) { c.expect("keep", nms(boxes(c), c.floats("scores"), c.param("iou_threshold", 0.5f))); }

GOLDEN(batched_nms) {
  c.expect("keep",
           batched_nms(boxes(c), c.floats("scores"), c.ints("labels"), c.param("iou_threshold", 0.5f)));
}

// The paper's form, IoU - d^2/c^2: power 1.
GOLDEN(diou_nms) {
  c.expect("keep", nms(boxes(c), c.floats("scores"), c.param("diou_threshold", 0.5f), NmsKind::diou, 1));
}

}  // namespace
}  // namespace osprey
