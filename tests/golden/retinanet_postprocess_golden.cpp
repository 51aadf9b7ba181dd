// From RetinaNet's logits and deltas to its detections, as torchvision has it: the best pairs of an anchor
// and a class of each level, decoded and clipped, then suppression in each class, then the best of the image.
#include <algorithm>

#include "cuda/dense_loss.h"
#include "layers/heads/row_detections.h"
#include "layers/nms/nms.h"
#include "tests/cuda/best_rows.h"
#include "tests/cuda/detection_lists.h"
#include "tests/golden/golden.h"

namespace osprey {
namespace {

struct Found {
  float score;
  int label;
  Box box;  // pixels
};

std::vector<Found> by_the_host(View<const float> rows, const BestOfRows& best, float threshold, NmsRule rule,
                               float width, float height) {
  Candidates all;
  decode_best_rows(rows, best, 0, threshold, all);
  nms(all, rule);
  std::vector<Found> found;
  for (int i = 0; i < all.count(); ++i)
    for (int c = 0; c < all.classes; ++c)
      if (all.of(i)[c] > 0) found.push_back({all.of(i)[c], c, scaled(corners(all.boxes[i]), width, height)});
  return found;
}

std::vector<Found> by_the_kernels(View<const float> rows, const BestOfRows& best, float threshold,
                                  NmsRule rule, float width, float height) {
  const int capacity = best.top_k * best.levels.count;
  test::OwnBestRows own(rows.shape, best);
  test::OwnLists lists({{}}, {{}}, rows.shape.c - kClasses, capacity, capacity);
  lists.places()[0] = {{}, width, height};
  Stream stream{Device::cuda};
  cuda::best_row_candidates(stream, rows, best, threshold, own.work, lists.lists);
  cuda::nms(stream, lists.lists, threshold, true, rule);
  cuda::collect_detections(stream, lists.lists, threshold);
  std::vector<Found> found;
  for (int i = 0; i < lists.lists.found_counts[0]; ++i) {
    const ListedDetection& d = lists.lists.found[i];
    found.push_back({d.score, d.class_id, d.box});
  }
  return found;
}

GOLDEN_ON_DEVICES(retinanet_postprocess) {
  const std::vector<float> corners_of = c.floats("anchors"), logits = c.floats("cls_logits"),
                           deltas = c.floats("bbox_regression");
  const int rows = c.shape("cls_logits")[0], classes = c.shape("cls_logits")[1];
  const std::vector<int> size = c.param("image", std::vector<int>{0, 0});  // height, width
  const float height = float(size.at(0)), width = float(size.at(1));
  std::vector<Box> anchors;
  for (int i = 0; i < rows; ++i) {
    const float* a = corners_of.data() + 4 * i;
    anchors.push_back({a[0], a[1], a[2], a[3]});
  }
  BestOfRows best;
  best.top_k = c.param("topk", 1000);
  for (const int of_level : c.param("num_level", std::vector<int>{})) best.levels.add(of_level);

  std::vector<float> values(size_t(rows * (kClasses + classes)));
  const View<float> y = {values.data(), {1, 1, rows, kClasses + classes}};
  Stream stream{device};
  const DenseRows from = {{logits.data(), {1, 1, rows, classes}}, {deltas.data(), {1, 1, rows, 4}}, {}};
  on(stream, cpu::dense_rows, cuda::dense_rows)(
      stream, from, View<const Box>(anchors.data(), {1, 1, 1, rows}), RowCoder{}, false, width, height, y);
  const auto find = device == Device::cpu ? by_the_host : by_the_kernels;
  std::vector<Found> found =
      find(y, best, c.param("score_thresh", 0.05f), {c.param("nms", 0.5f)}, width, height);
  std::stable_sort(found.begin(), found.end(),
                   [](const Found& a, const Found& b) { return a.score > b.score; });
  found.resize(std::min(found.size(), size_t(c.param("detections_per_img", 100))));

  std::vector<float> boxes, scores;
  std::vector<int> labels;
  for (const Found& f : found) {
    for (const float v : {f.box.x1, f.box.y1, f.box.x2, f.box.y2}) boxes.push_back(v);
    scores.push_back(f.score);
    labels.push_back(f.label);
  }
  c.expect("boxes", boxes);
  c.expect("scores", scores);
  c.expect("labels", labels);
}

}  // namespace
}  // namespace osprey
