// Hard non-maximum suppression: which boxes stay, in falling order of score, as torchvision and mmcv have it.
// By the CPU's loops and by the kernel.
#include "layers/nms/nms.h"

#include <algorithm>

#include "tests/cuda/detection_lists.h"
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

// The boxes that the kernel keeps, by falling score. Only those of one class suppress each other.
std::vector<int> kept_by_kernel(const std::vector<Box>& boxes, const std::vector<float>& scores,
                                const std::vector<int>& labels, NmsRule rule) {
  const int count = int(boxes.size());
  const int classes = labels.empty() ? 1 : *std::max_element(labels.begin(), labels.end()) + 1;
  std::vector<float> probabilities(size_t(count * classes), 0);
  for (int i = 0; i < count; ++i) probabilities[size_t(i * classes + labels[i])] = scores[i];
  test::OwnLists own({boxes}, {probabilities}, classes, std::max(count, 1), 1);
  Stream stream;
  cuda::nms(stream, own.lists, 0, true, rule);
  std::vector<int> kept;
  for (int i = 0; i < count; ++i)
    if (own.kept(0, labels[i], i)) kept.push_back(i);
  std::stable_sort(kept.begin(), kept.end(), [&](int a, int b) { return scores[a] > scores[b]; });
  return kept;
}
std::vector<int> one_class(const std::vector<Box>& boxes) { return std::vector<int>(boxes.size(), 0); }

GOLDEN(nms) {
  const std::vector<Box> all = boxes(c);
  const float threshold = c.param("iou_threshold", 0.5f);
  c.expect("keep", nms(all, c.floats("scores"), threshold));
  c.expect("keep", kept_by_kernel(all, c.floats("scores"), one_class(all), {threshold}));
}

GOLDEN(batched_nms) {
  const std::vector<Box> all = boxes(c);
  const float threshold = c.param("iou_threshold", 0.5f);
  c.expect("keep", batched_nms(all, c.floats("scores"), c.ints("labels"), threshold));
  c.expect("keep", kept_by_kernel(all, c.floats("scores"), c.ints("labels"), {threshold}));
}

// By DIoU and by NWD. The latter's boxes are in pixels.
void expect_kept(const golden::Case& c, NmsRule rule) {
  const std::vector<Box> all = boxes(c);
  c.expect("keep", nms(all, c.floats("scores"), rule));
  c.expect("keep", kept_by_kernel(all, c.floats("scores"), one_class(all), rule));
}
GOLDEN(diou_nms) { expect_kept(c, {c.param("diou_threshold", 0.5f), NmsKind::diou}); }
GOLDEN(nwd_nms) { expect_kept(c, {c.param("nwd_threshold", 0.85f), NmsKind::nwd, 0, c.param("C", 12.8f)}); }

}  // namespace
}  // namespace osprey
