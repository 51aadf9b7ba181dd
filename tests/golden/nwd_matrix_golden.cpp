// NWD and DotD over all pairs of two lists of corners, against the authors' code.
#include "core/nwd.h"
#include "tests/golden/golden.h"

namespace osprey {
namespace {

std::vector<Box> boxes(const std::vector<float>& corners) {
  std::vector<Box> all;
  for (size_t i = 0; i + 3 < corners.size(); i += 4)
    all.push_back({corners[i], corners[i + 1], corners[i + 2], corners[i + 3]});
  return all;
}

GOLDEN(nwd_matrix) {
  const std::vector<Box> a = boxes(c.floats("a")), b = boxes(c.floats("b"));
  const float constant = c.params().at("C"), eps = c.params().at("eps");
  std::vector<float> of_boxes, of_centres;
  for (Box x : a)
    for (Box y : b) {
      of_boxes.push_back(nwd(x, y, constant, eps));
      of_centres.push_back(dotd(x, y, constant, eps));
    }
  c.expect("nwd", of_boxes);
  if (c.has("dotd")) c.expect("dotd", of_centres);
}

}  // namespace
}  // namespace osprey
